// Package evaluation plays the attacks and the user tasks of a public benchmark of prompt
// injection, AgentDojo, against the policy examples/policies/no-exfiltration, and holds
// docs/evaluation.md to what comes out.
//
// It has no models: what is played is the sequence of tool calls that the benchmark itself gives
// as the solution of a task or of an attack, as if the model obeyed every word. So it says what
// the gateway refuses to a model that has been talked into it, not how often one is.
//
// The attacks are read from the corpora. The user tasks are in testdata, as nothing but the names of
// the tools that each calls, in their order (AgentDojo 1.2.1, MIT licence).
//
// It has tests alone, and nothing imports it.
package evaluation
