//go:build linux

// Hostile is a server that tries to get out of its sandbox. It speaks MCP over stdio and has
// one tool, escape, which makes one attempt and says whether it came through.
//
//	hostile                       the server; escape takes {"attempt": NAME, "targets": {…}}
//	hostile try NAME key=value…   one attempt; prints {"attempt", "escaped", "detail"}
//	hostile try NAME,NAME,… …     several, each in a process of its own
//	hostile list [network]        the names, of all or of those that use sockets
//
// What an attempt aims at (files, sockets, processes of the host) comes as targets: the test
// makes them, gives them to a bare run, where the attempt must come through, and to a
// sandboxed one, where it must not. An attempt says that it came through only when it has in
// hand what it was after. Each runs in a process of its own, since many end in death.
package main
