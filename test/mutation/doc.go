// Package mutation asks what the tests of a policy directory are worth: it changes the policy in
// one small place at a time (an expression dropped or negated, a limit moved by one, a member of a
// list taken out) and wants the directory's own tests to fail. A change that no test notices is
// either a missing test or makes no difference; the second is written down, with the reason, in
// survivors.txt beside the policy, and what is written there must be true.
//
// It changes Rego and data, not tests. It loads each mutant as the gateway would, with
// policy.FromFiles, and knows no other way to decide anything. Anybody may import it.
package mutation
