package secrets

import (
	"bytes"
	"fmt"
)

// maxDepth is how many encodings are undone, one in the other.
const maxDepth = 3

// layers scans a document and what is encoded in it.
type layers struct {
	s     *Scanner
	rules *ruleset // nil: markers alone
	work  work
	found []found
}

// found is a secret in a view.
type found struct {
	rule       string
	marker     bool
	generic    bool
	start, end int // in the document
	via        []string
}

// work counts what a scan does, and bounds it.
type work struct {
	matched, decoded, views int // bytes that expressions were run over; bytes and number of decoded texts
	maxMatched, maxDecoded  int
	why                     string
}

// newWork allows work for a document of n bytes. Ordinary documents need a small part of it;
// one that is made to be slow costs some microseconds for each byte matched.
func newWork(n int) work {
	return work{maxMatched: min(2*n+64<<10, 4<<20), maxDecoded: min(8*n+256<<10, 64<<20)}
}

// match asks for n bytes of text to be matched with a rule's expression.
func (w *work) match(n int) bool {
	if w.matched+n > w.maxMatched {
		w.stop("more than %d bytes of it look like secrets and are none", w.maxMatched)
		return false
	}
	w.matched += n
	return true
}

// view asks for a decoded text of n bytes to be scanned.
func (w *work) view(n int) bool {
	if w.decoded+n > w.maxDecoded {
		w.stop("it decodes to more than %d bytes", w.maxDecoded)
		return false
	}
	w.decoded += n
	w.views++
	return true
}

func (w *work) stop(format string, args ...any) {
	if w.why == "" {
		w.why = fmt.Sprintf(format, args...)
	}
}

// scan looks into v and into what it holds.
func (l *layers) scan(v *view) {
	if l.rules != nil {
		l.scanRules(v)
	}
	l.scanMarkers(v)
	if !v.plain {
		undo(v, unshown{}, func(n *view) bool {
			n.plain, n.via = true, "hidden"
			return l.child(n)
		})
	}
	if v.depth == maxDepth {
		return
	}
	undo(v, newEscapes(), func(n *view) bool {
		n.depth++
		n.via = "url"
		if bytes.IndexByte(v.text[n.base:n.end], '\\') >= 0 {
			n.via = "escape"
		}
		if !l.child(n) {
			return false
		}
		if bytes.IndexByte(v.text[n.base:n.end], '+') < 0 || n.via != "url" {
			return true
		}
		return l.child(n.query())
	})
	runs(v.text, func(r run) bool { return l.scanRun(v, r) })
	if bytes.HasPrefix(v.text, gzipMagic) {
		l.inflate(v)
	}
}

func (l *layers) child(v *view) bool {
	if !l.work.view(len(v.text)) {
		return false
	}
	l.scan(v)
	return true
}

// scanRun scans what the run decodes to.
func (l *layers) scanRun(v *view, r run) bool {
	any, ok := l.scan64(v, r, r.chars)
	if any && ok && r.block > 0 {
		_, ok = l.scan64(v, r, r.chars[:r.block])
	}
	// A slash is of base64 and of paths as well, and a rule may ask what comes next.
	if any && ok && bytes.IndexByte(r.chars, '/') >= 0 {
		for piece := range bytes.SplitSeq(r.chars, []byte{'/'}) {
			if ok && len(piece) >= minRun {
				_, ok = l.scan64(v, r, piece)
			}
		}
	}
	if ok && len(r.chars) >= 2*minPairs {
		ok = l.scanHex(v, r)
	}
	if i := bytes.Index(r.chars, gzipBase64); ok && i >= 0 {
		ok = l.decoded(v, r, decode64(r.chars[i:]), "base64")
	}
	return ok
}

// scan64 scans what characters of the run r decode to as base64, where that is text: any says
// whether there was some, ok that the scan may go on.
func (l *layers) scan64(v *view, r run, chars []byte) (any, ok bool) {
	for k, parts := range base64Parts(chars) {
		for _, p := range parts {
			any = true
			if !l.decoded(v, r, trimmed(decode64(chars[p.start:p.end])), "base64") {
				return true, false
			}
		}
		if len(parts) > 0 || len(chars) < minForeign || !foreign(chars[k:], 4, decode64) {
			continue
		}
		any = true
		if !l.decoded(v, r, decode64(chars[k:]), "base64") {
			return true, false
		}
	}
	return any, true
}

// scanHex scans what the run decodes to as hex.
func (l *layers) scanHex(v *view, r run) bool {
	for k, parts := range hexParts(r.chars) {
		for _, p := range parts {
			if !l.decoded(v, r, decodeHex(r.chars[p.start:p.end]), "hex") {
				return false
			}
		}
		if len(parts) == 0 && len(r.chars) >= minForeign && foreign(r.chars[k:], 2, decodeHex) &&
			!l.decoded(v, r, decodeHex(r.chars[k:]), "hex") {
			return false
		}
	}
	for _, magic := range gzipHex {
		if i := bytes.Index(r.chars, magic); i >= 0 && !l.decoded(v, r, decodeHex(r.chars[i:]), "hex") {
			return false
		}
	}
	return true
}

// decoded scans a text that the run r of v holds.
func (l *layers) decoded(v *view, r run, text []byte, via string) bool {
	return l.child(&view{text: text, of: v, base: r.start, end: r.end, opaque: true, via: via, depth: v.depth + 1})
}

// inflate scans what v holds as gzip. What is compressed to nothing costs much to scan, so it
// is taken from the same allowance as everything that is decoded.
func (l *layers) inflate(v *view) {
	text, all := gunzip(v.text, l.work.maxDecoded-l.work.decoded)
	if !all {
		l.work.stop("it decodes to more than %d bytes", l.work.maxDecoded)
	}
	l.child(&view{text: text, of: v, base: 0, end: len(v.text), opaque: true, via: "gzip", depth: v.depth + 1})
}
