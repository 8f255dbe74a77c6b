// Package sandbox runs a program with nothing but what it was given.
//
// On Linux a program gets namespaces of its own (users, mounts, processes, network, IPC, host
// name), a file system that holds what its [Spec] names and little else, Landlock to the same
// paths, a seccomp filter, no capability, no way to gain one, an empty environment, no inherited
// descriptor, and limits on memory, processes, files and processor time. It dies with the process
// that started it. All of it is required: where the machine lacks a mechanism, [Start] fails and
// says which, and [Check] says what can be done. On other systems everything fails so.
//
// The work is done by a helper, which is the same binary executed again: its main function must
// begin with
//
//	if sandbox.Reexecuted() {
//		sandbox.Main()
//	}
//
// The helper becomes process 1 of the new namespaces, builds the walls from inside, starts the
// program behind them and waits for it.
//
// What a program tries in vain is logged, as far as the kernel tells: system calls that the filter
// refuses, and files that exist on the machine and not in the sandbox. The log is not a wall; it
// can miss things, and nothing is decided by it.
//
// The package may be imported by gateway/config and cmd/sallyport. It imports
// nothing of the gateway.
package sandbox
