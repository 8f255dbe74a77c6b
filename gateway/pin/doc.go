// Package pin keeps the definitions that servers have shown, and lets through none that is not
// pinned: a server that changes what a tool says it is, after somebody has looked at it, has no
// such tool until somebody has looked again.
//
// A [Store] is one file, pins.yaml, which people read and keep in version control. For each server,
// kind (tools, prompts, resource templates, instructions), name and era of the protocol it holds
// the bytes of one definition, its digest over the canonical form, and who has reviewed it; beside
// it what was seen last, where that is another and waits for a review. [Pins.See] takes what a
// server has shown and returns the pinned bytes of what may be served. The file is on disk before
// anything is served by it.
//
// It compares and keeps; it does not judge. [Findings] are hints for the person who reviews. Two
// things are never served though: a definition with characters that steer a terminal or the
// direction of writing, and one with other hidden text that nobody has reviewed.
//
// It may be imported by gateway, gateway/config and cmd/sallyport; it imports
// internal/strictjson, gateway/wire, gateway/catalog, gateway/guard/hidden and a YAML parser, and
// reaches no network.
package pin
