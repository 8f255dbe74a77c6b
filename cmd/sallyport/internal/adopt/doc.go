// Package adopt moves the servers of a client's configuration behind the gateway: it plans what
// becomes of the client's file, and writes the plan or takes it back. It asks nobody and prints
// nothing; the command does.
package adopt
