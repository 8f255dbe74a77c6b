// Package credential holds the secrets that the gateway itself shows to MCP servers, and keeps
// them from coming back.
//
// A [Source] yields a secret at the moment of use: from a file, the environment, a command, an
// OAuth token endpoint ([ClientCredentials]), or an exchange there on behalf of a principal
// ([Exchange]). What costs a process or a request is kept until it expires, refreshed before
// that, and asked for once however many callers wait. A [Scrubber] finds secrets in what a
// server answers, in the forms in which servers print them by accident.
//
// What it is not: a vault (secrets are in the gateway's memory), and no wall against a server
// that wants to tell a secret. A server that is given one can encode it in a way that no search
// finds.
//
// No secret is in an error, a log line or the text of a value of this package: [Secret] and all
// sources print what they are and not what they hold. Nothing that a client sent is taken here;
// a principal is a name ([Who]), never a token.
//
// The package imports strictjson and the standard library. It may be imported by
// gateway/upstream and gateway/config.
package credential
