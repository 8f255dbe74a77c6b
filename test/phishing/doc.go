// Command phishing plays the phishing experiment with a real Claude Code: a model that obeys every
// instruction reads documents, one of which asks it to read a credentials file and to send it out,
// each time by other carriers (plain, base64, split over calls, in a host name, in an image of a
// result …). `make phishing` runs it; PHISHING_JSON=FILE also writes the numbers.
//
// Claude Code, server-filesystem, the gateway and the box are the real ones. The model is a script
// that stands at the address of the Messages API; it computes each call from what the tool results
// before it say, and knows neither the documents nor the credentials. The world outside is a sink on
// loopback to which every host name leads: it counts the bytes that arrive, and each carrier has the
// decoder that a thief would have.
//
// The sessions are played straight at the servers, which proves that each carrier works, and then
// through the gateway: with the example policy no-exfiltration, with its flow labels alone, and with
// the scanner for secrets alone. The second half has the agent's own Read and Bash tools, without and
// with `sallyport run --sandbox=claude`. It exits 1 unless everything left without the gateway, nothing
// with it, and every session also did the work that it was started for.
//
// It is a program, not a package: nothing imports it.
package main
