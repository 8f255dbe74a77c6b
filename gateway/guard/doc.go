// Package guard is the second door: it judges what a server sends (results, errors,
// notifications, questions) before a byte of it goes to the client.
//
// It takes bytes and returns bytes. What needs no change is passed on as the very bytes that
// came; what must not reach a client is cut out, made inert or replaced by a note that says so;
// what cannot be judged is refused. It decides by form and by what the operator and the policy
// ask for, and never by what a text says: a text that persuades cannot be recognised.
//
// It asks nobody, reaches nothing and keeps nothing between two messages. Package gateway
// calls it; it imports internal/strictjson and its own folders guard/hidden and guard/secrets.
package guard
