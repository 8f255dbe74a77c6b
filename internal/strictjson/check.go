package strictjson

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// Limits bound a document. Zero fields take the defaults.
type Limits struct {
	Depth     int // nesting of arrays and objects; default 64
	NumberLen int // characters of one number; default 1,000
}

// Defaults of [Limits].
const (
	DefaultDepth     = 64
	DefaultNumberLen = 1000
)

func (l Limits) orDefault() Limits {
	if l.Depth <= 0 {
		l.Depth = DefaultDepth
	}
	if l.NumberLen <= 0 {
		l.NumberLen = DefaultNumberLen
	}
	return l
}

// ErrStrict is wrapped by every refusal of this package.
var ErrStrict = errors.New("not strict JSON")

// Error says what was wrong with a document and where. It never holds values of the document.
type Error struct {
	Offset int64  // bytes from the start of the document
	What   string // what was wrong
}

func (e *Error) Error() string { return fmt.Sprintf("%s, at byte %d", e.What, e.Offset) }

// Unwrap makes errors.Is(err, ErrStrict) hold.
func (e *Error) Unwrap() error { return ErrStrict }

// Scope says which names of an object a [KeySet] guards, and which scope each member opens.
// A nil Scope guards nothing below it.
type Scope struct {
	keys    *KeySet
	members map[string]*Scope
	other   *Scope
}

// NewScope returns a scope in which names may not fold to a key without being it. Members
// named in special open the scope given there; all others open the same scope again.
func NewScope(keys *KeySet, special map[string]*Scope) *Scope {
	s := &Scope{keys: keys, members: special}
	s.other = s
	return s
}

// Only returns a scope that guards this object but nothing below it, save the members named
// in special.
func Only(keys *KeySet, special map[string]*Scope) *Scope {
	return &Scope{keys: keys, members: special}
}

// Check reports whether data is exactly one JSON value with one meaning.
// The error is an [*Error].
func Check(data []byte, lim Limits) error { return CheckScope(data, lim, nil) }

// CheckScope is [Check] that also applies the name rules of scope, in the same pass.
func CheckScope(data []byte, lim Limits, scope *Scope) error {
	s := scanners.Get().(*scanner)
	defer scanners.Put(s)
	s.lim = lim.orDefault()
	s.reader.Reset(data)
	s.dec.Reset(&s.reader)
	if err := s.value(scope, 0); err != nil {
		return s.wrap(err)
	}
	if _, err := s.dec.ReadToken(); err == nil {
		return s.fail("data after the end of the JSON value")
	} else if !errors.Is(err, io.EOF) {
		return &Error{Offset: s.dec.InputOffset(), What: "data after the end of the JSON value"}
	}
	return nil
}

var scanners = sync.Pool{New: func() any {
	s := &scanner{}
	s.dec = jsontext.NewDecoder(&s.reader)
	return s
}}

type scanner struct {
	dec    *jsontext.Decoder
	reader bytes.Reader
	name   []byte // scratch for unescaped names
	lim    Limits
}

func (s *scanner) fail(what string) error {
	return &Error{Offset: s.dec.InputOffset(), What: what}
}

func (s *scanner) value(scope *Scope, depth int) error {
	switch s.dec.PeekKind() {
	case '{':
		return s.object(scope, depth+1)
	case '[':
		if depth+1 > s.lim.Depth {
			return s.tooDeep()
		}
		if _, err := s.dec.ReadToken(); err != nil {
			return err
		}
		for s.dec.PeekKind() != ']' {
			if err := s.value(scope, depth+1); err != nil {
				return err
			}
		}
		_, err := s.dec.ReadToken()
		return err
	case '0':
		raw, err := s.dec.ReadValue()
		if err != nil {
			return err
		}
		return s.number(raw)
	default:
		_, err := s.dec.ReadToken()
		return err
	}
}

func (s *scanner) object(scope *Scope, depth int) error {
	if depth > s.lim.Depth {
		return s.tooDeep()
	}
	if _, err := s.dec.ReadToken(); err != nil {
		return err
	}
	for s.dec.PeekKind() != '}' {
		raw, err := s.dec.ReadValue()
		if err != nil {
			return err
		}
		child, err := s.member(raw, scope)
		if err != nil {
			return err
		}
		if err := s.value(child, depth); err != nil {
			return err
		}
	}
	_, err := s.dec.ReadToken()
	return err
}

// member checks one member name and returns the scope of its value.
func (s *scanner) member(raw []byte, scope *Scope) (*Scope, error) {
	name := raw[1 : len(raw)-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		var err error
		if s.name, err = jsontext.AppendUnquote(s.name[:0], raw); err != nil {
			return nil, err
		}
		name = s.name
		if bytes.IndexByte(name, 0) >= 0 {
			return nil, s.fail("a member name holds a NUL character")
		}
	}
	if scope == nil {
		return nil, nil
	}
	if key, clash := scope.keys.clash(name); clash {
		return nil, s.fail(fmt.Sprintf("member name %s would be read as %q by a parser that ignores case", quoteName(name), key))
	}
	if child, ok := scope.members[string(name)]; ok {
		return child, nil
	}
	return scope.other, nil
}

func (s *scanner) number(raw []byte) error {
	if len(raw) > s.lim.NumberLen {
		return s.fail(fmt.Sprintf("a number of %d characters; the limit is %d", len(raw), s.lim.NumberLen))
	}
	// Short literals without an exponent cannot leave the range of a float64.
	if len(raw) < 300 && bytes.IndexByte(raw, 'e') < 0 && bytes.IndexByte(raw, 'E') < 0 {
		return nil
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || (f == 0 && bytes.ContainsAny(mantissa(raw), "123456789")) {
		return s.fail("a number outside the range of a 64-bit float")
	}
	return nil
}

func mantissa(raw []byte) []byte {
	if i := bytes.IndexAny(raw, "eE"); i >= 0 {
		return raw[:i]
	}
	return raw
}

func (s *scanner) tooDeep() error {
	return s.fail(fmt.Sprintf("nested deeper than %d levels", s.lim.Depth))
}

// wrap turns the decoder's errors, which may quote the input, into ours.
func (s *scanner) wrap(err error) error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	off := s.dec.InputOffset()
	var syn *jsontext.SyntacticError
	if errors.As(err, &syn) {
		off = syn.ByteOffset
	}
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return &Error{Offset: off, What: "the same member name twice in one object"}
	case errors.Is(err, io.EOF) && off == 0:
		return &Error{Offset: off, What: "no JSON value"}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return &Error{Offset: off, What: "the JSON value ends too early"}
	case syn != nil && syn.Err != nil && syn.Err.Error() == "invalid UTF-8":
		return &Error{Offset: off, What: "invalid UTF-8"}
	default:
		return &Error{Offset: off, What: "invalid JSON syntax"}
	}
}

// quoteName shows a member name in an error: it is the sender's own text, cut short.
func quoteName(name []byte) string {
	const most = 40
	if len(name) > most {
		return strconv.QuoteToASCII(string(name[:most])) + "…"
	}
	return strconv.QuoteToASCII(string(name))
}
