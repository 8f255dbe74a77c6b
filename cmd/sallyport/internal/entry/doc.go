// Package entry writes the lines by which a client finds the gateway and gets its token. `init`,
// `adopt` and `demo` print them; here is their one form. It reads and writes nothing.
package entry
