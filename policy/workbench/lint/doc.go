// Package lint says what is wrong with a policy directory beyond what keeps it from being installed:
// arguments, tools and servers that there are not, rules that never hold, ways out for what a role has
// read, and what makes decisions slow.
//
// It asks a [policy.Generation] with most of the input unknown and looks at what partial evaluation
// leaves of the rules that decide. It says nothing where it is not sure: a finding of level Error is so
// for every input that the [Setting] allows. The command `policy check` and `doctor` import it; it knows
// neither gateway nor identity.
package lint
