// Package demo tells the phishing story with the real parts: four small MCP servers, the
// gateway before them, the example policy phishing-defence, and the calls of an agent that
// obeys a bad message, first straight at the servers and then through the gateway.
//
// Every step has an expectation, and a run in which a step came out otherwise fails. Only the
// servers and the agent are play; what decides and records is what `serve` runs. For
// cmd/sallyport alone.
package demo
