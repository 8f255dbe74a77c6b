// Package admin is the server and the client of the admin socket, <state>/admin.sock: HTTP/1.1
// with JSON over a Unix socket, through which the users of this machine ask for grants and
// tokens, list them and end them.
//
// A caller needs no password: the kernel says which user is at the other end. What the user may
// ask for is a [LocalRule]; who has none is refused. The package decides nothing about grants
// itself: it turns a caller into a mint.Asker and passes on what mint.Authority answers. It
// never listens on a network, and refuses whatever a browser sends.
//
// It is not the operator's health listener (admin.listen), which answers anybody and can do
// nothing. gateway/config serves it; commands are its clients. No other room imports it.
package admin
