// Package builtin judges arguments of the usual kinds: paths, URLs, recipients of mail,
// identifiers, SQL. The same checks are there for configuration, as a [Check], and for policies, as
// functions mcp.*.
//
// All of them are total: what cannot be judged is false, with a reason. Packages policy and
// gateway/rules import it, and it imports nothing of ours.
package builtin
