// Package secrets finds secrets in texts and JSON documents, also where they are encoded: the
// rules of gitleaks, and markers that an operator planted or the gateway itself sent.
//
// A text is scanned as it is and again with what hides in it undone: JSON escapes, characters
// that are not seen or only look different, URL escapes, base64, hex and gzip, three deep. Spans
// are of the bytes that were given, so that what was found can be replaced there.
//
// The rules are patterns. Whoever wants to get a secret past them can (see
// docs/performance.md for what is not found), so this package makes that tedious and never
// impossible; labels and closed sinks do the rest. The work for one document is bounded, and a
// [Result] says when that bound was met.
//
// It decides nothing and knows no messages. It imports the configuration of gitleaks and
// golang.org/x/text, and nothing of ours; gateway and everything under it may import it.
package secrets
