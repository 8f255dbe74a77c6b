package catalog

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"sallyport/gateway/wire"
	"sallyport/internal/strictjson"
)

// Listing is everything an upstream answered to tools/list. It is immutable.
type Listing struct {
	Era      wire.Era
	Tools    map[string]*Tool // every tool that has a name, those with a Problem included
	Pages    []Page           // in the order of the cursors
	ByCursor map[string]int   // index in Pages; "" is the first page (see Page)
	Nameless int              // elements without a readable name, which nobody sees

	// Digest covers every byte of every page and their cursors, so that equal digests mean
	// equal lists.
	Digest string
}

// PageResult is one answer to tools/list: the result, and the cursor it was asked for with.
type PageResult struct {
	Cursor    string
	HasCursor bool // false for the first page; a cursor may be the empty string
	Result    []byte
}

// More tools or pages than this are not a catalogue that a model could use.
const (
	maxTools = 10_000
	maxPages = 1_000
)

// BuildListing reads the pages of one list, the first page first. It fails if a page is not a
// strict JSON list of tools or the pages do not belong together. A tool that cannot be served
// does not fail the listing: its Problem says why. The listing keeps the results.
func BuildListing(era wire.Era, results []PageResult) (*Listing, error) {
	return build(era, results, nil)
}

// Refresh is [BuildListing] for a newer answer of the same upstream. A tool whose definition has the
// same bytes is taken over from l, and its schemas are not compiled again.
func (l *Listing) Refresh(results []PageResult) (*Listing, error) {
	return build(l.Era, results, l.Tools)
}

func build(era wire.Era, results []PageResult, known map[string]*Tool) (*Listing, error) {
	if len(results) == 0 || len(results) > maxPages {
		return nil, fmt.Errorf("build tool listing: %d pages; want 1 to %d", len(results), maxPages)
	}
	b := builder{
		Listing:  &Listing{Era: era, Tools: map[string]*Tool{}, ByCursor: map[string]int{}},
		known:    known,
		compiled: map[string]*Schema{},
	}
	for i, r := range results {
		if err := b.addPage(r); err != nil {
			return nil, fmt.Errorf("build tool listing: page %d: %w", i+1, err)
		}
	}
	b.Digest = listingDigest(results)
	return b.Listing, nil
}

type builder struct {
	*Listing
	known    map[string]*Tool
	compiled map[string]*Schema // by the bytes of the schema: many tools share the empty one
	seen     int
}

func (b *builder) addPage(r PageResult) error {
	// What DecodeReply has checked is checked once more: a listing is built rarely, and
	// everything read here is believed for as long as it lives.
	if err := strictjson.Check(r.Result, strictjson.Limits{}); err != nil {
		return err
	}
	p, err := ParsePage(r.Result, "tools")
	if err != nil {
		return err
	}
	p.Cursor, p.HasCursor = r.Cursor, r.HasCursor || r.Cursor != ""
	if err := b.addCursor(p); err != nil {
		return err
	}
	if b.seen += len(p.Elements); b.seen > maxTools {
		return fmt.Errorf("more than %d tools", maxTools)
	}
	b.Pages = append(b.Pages, *p)
	for i, name := range p.Names {
		if name == "" {
			b.Nameless++
			continue
		}
		b.addTool(name, p.Elements[i].Of(p.Result))
	}
	return nil
}

// addCursor refuses a page that would hide another one.
func (b *builder) addCursor(p *Page) error {
	if first := len(b.Pages) == 0; first == p.HasCursor {
		return fmt.Errorf("the first page, and only the first, has no cursor")
	}
	for _, other := range b.Pages {
		if other.HasCursor == p.HasCursor && other.Cursor == p.Cursor {
			return fmt.Errorf("the same cursor as an earlier page")
		}
	}
	if p.HasCursor && p.Cursor == "" {
		return nil // "" in ByCursor is the first page; Page finds this one
	}
	b.ByCursor[p.Cursor] = len(b.Pages)
	return nil
}

func (b *builder) addTool(name string, raw []byte) {
	if twin, ok := b.Tools[name]; ok {
		// Which of the two a client or the upstream means is anybody's guess.
		b.Tools[name] = &Tool{Name: name, Raw: twin.Raw, Digest: twin.Digest, Problem: "two tools have this name"}
		return
	}
	if old, ok := b.known[name]; ok && bytes.Equal(old.Raw, raw) && old.Schema != nil {
		b.Tools[name] = old
		return
	}
	b.Tools[name] = readTool(b.Era, name, raw, b.compile)
}

func (b *builder) compile(inputSchema []byte) (*Schema, error) {
	if s, ok := b.compiled[string(inputSchema)]; ok {
		return s, nil
	}
	s, err := Compile(inputSchema)
	if err == nil {
		b.compiled[string(inputSchema)] = s
	}
	return s, err
}

// Page returns the page that the upstream would answer to a request with this cursor, or
// false if there is none. It tells a request without a cursor from one whose cursor is "".
func (l *Listing) Page(cursor string, hasCursor bool) (*Page, bool) {
	if hasCursor && cursor == "" {
		for i := range l.Pages {
			if p := &l.Pages[i]; p.HasCursor && p.Cursor == "" {
				return p, true
			}
		}
		return nil, false
	}
	i, ok := l.ByCursor[cursor]
	if !ok {
		return nil, false
	}
	return &l.Pages[i], true
}

// listingDigest hashes cursors and results with their lengths, so that no two listings write
// the same stream.
func listingDigest(results []PageResult) string {
	h := sha256.New()
	var n [8]byte
	write := func(b []byte) {
		binary.BigEndian.PutUint64(n[:], uint64(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	for _, r := range results {
		write([]byte(r.Cursor))
		write(r.Result)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}
