// Package wire reads and writes MCP messages without ever re-encoding them: JSON-RPC bodies,
// the MCP headers that mirror them, and server-sent events, in both protocol eras.
//
// A message is parsed once, strictly ([Decode], [DecodeReply]); what the gateway needs of it
// is kept as spans of the received bytes, and those bytes are what is forwarded. Where a
// single value must change, it is spliced ([Splice]) and everything around it stays.
//
// The package knows the protocol, not the gateway: it decides nothing about who may do what.
// It may be imported by everything under gateway, and imports internal/strictjson and
// mcp-go's constants and header rules only.
package wire
