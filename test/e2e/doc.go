// Package e2e holds the tests that run the real binary: real clients and servers before and
// behind it, the table of attacks in testdata/attacks, reload, crash.
//
// It has no code but tests, and they use the gateway as its users do, by its commands, files
// and HTTP. Tests that need only the binary run everywhere. Those that need programs from
// outside (the conformance suite, the Inspector, Claude Code) need `make e2e`, which installs
// them into .cache/: under it, or with CI=true, a program that is missing fails its test and
// says how to install it; a plain `go test` skips them.
package e2e
