// Package strictjson is the one JSON scanner of the gateway: it accepts a document only if
// every JSON parser must read it the same way.
//
// It refuses duplicate member names at any depth, invalid UTF-8, lone surrogates, NUL in
// names, numbers that a float64 cannot hold, excessive depth, and anything after the first
// value. On request it also refuses member names that a case-folding parser would take for
// another name (see [KeySet]): Go's encoding/json reads "NAME" and "paramſ" as "name" and
// "params", so a gateway that decides on one and forwards both decides on nothing
// (CVE-2026-27896 is of this kind).
//
// The package does not build values. Callers work on spans of the bytes that were checked,
// so that what was decided is what is forwarded. Every package of the project may import it;
// it imports jsontext and the standard library only.
package strictjson
