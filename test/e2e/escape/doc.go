// Package escape runs the hostile server's attempts against a sandbox: bare, where each must
// come through, so that its failure inside means something, and sandboxed, where none may but
// those that docs/threat-model.md lists.
//
// It has no code but tests. They run on Linux; a machine that cannot isolate a program fails
// them with what it lacks.
package escape
