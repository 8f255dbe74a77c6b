// Package policy says whether a call may be made: Rego in, a [Decision] out.
//
// A [Generation] is one compiled state of a policy directory. It is immutable, and a directory
// that does not compile, has no rule `allow`, or fails its own tests never becomes one; the
// caller keeps the generation it has. One rule, data.mcp.authz.allow, decides both calling and
// listing: a list asks the same rule with the arguments unknown, so the two cannot drift.
//
// Policies cannot reach the network, the environment or randomness: the compiler does not know
// those built-ins. The package knows nothing of tokens or HTTP; it never imports identity.
package policy
