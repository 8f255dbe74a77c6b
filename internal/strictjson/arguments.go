package strictjson

import (
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// Names are names that others must not imitate, at any depth. The zero Names are none.
type Names struct {
	exact map[string]string // by fold
	mixed bool              // one is not its own fold, so that a plain name can imitate it
}

// NewNames returns names as [CheckArguments] wants them. Of two that fold alike neither is an imitation of
// the other, and both are left out.
func NewNames(names []string) Names {
	n := Names{exact: make(map[string]string, len(names))}
	twice := map[string]bool{}
	for _, name := range names {
		fold := Fold(name)
		if other, known := n.exact[fold]; known && other != name {
			twice[fold] = true
		}
		n.exact[fold] = name
	}
	for fold := range twice {
		delete(n.exact, fold)
	}
	for fold, exact := range n.exact {
		n.mixed = n.mixed || fold != exact
	}
	return n
}

// CheckArguments applies the name rule of tool arguments to a value that has passed [Check]: no name may
// fold to a known one (fold → exact name) without being it, at every depth to one of read, which the policy
// reads, at the top level to one of top, such as the tool's properties as well; and at every depth no two
// siblings may fold alike. Otherwise argument names are free. The error is an [*Error].
func CheckArguments(args []byte, read Names, top ...map[string]string) error {
	return Outline{}.CheckArguments(args, read, top...)
}

// CheckArguments is [CheckArguments] of a value that o outlines.
func (o Outline) CheckArguments(args []byte, read Names, top ...map[string]string) error {
	start := space(args, 0)
	if start == len(args) {
		return nil
	}
	var room [16]Span // enough for most calls, without an allocation
	a := argumentWalker{data: args, read: read, top: top, outline: o.For(args), names: room[:0]}
	if _, err := a.value(start, 0); err != nil {
		return err
	}
	return nil
}

type argumentWalker struct {
	data    []byte
	read    Names
	top     []map[string]string
	names   []Span // quoted names of the objects that are open, innermost last
	scratch []byte
	outline Outline
}

func (a *argumentWalker) value(i, level int) (int, *Error) {
	if i >= len(a.data) {
		return i, nil
	}
	if end, plain, ok := a.outline.look(i); ok && plain && level > 0 && !a.read.mixed {
		return end, nil // no two of its names can fold alike, and none to another than itself
	}
	switch a.data[i] {
	case '{':
		return a.object(i, level)
	case '[':
		return a.array(i, level)
	}
	return skip(a.data, i), nil
}

func (a *argumentWalker) array(i, level int) (int, *Error) {
	i = space(a.data, i+1)
	for i < len(a.data) && a.data[i] != ']' {
		var err *Error
		if i, err = a.value(i, level+1); err != nil {
			return i, err
		}
		i = comma(a.data, i)
	}
	return i + 1, nil
}

func (a *argumentWalker) object(i, level int) (int, *Error) {
	base, mixed := len(a.names), false
	i = space(a.data, i+1)
	for i < len(a.data) && a.data[i] != '}' {
		end := skipString(a.data, i)
		if level == 0 || len(a.read.exact) > 0 {
			if err := a.imitates(i, end, level); err != nil {
				return i, err
			}
		}
		// Names in lower-case ASCII cannot clash with each other, since exact duplicates were
		// refused before.
		mixed = mixed || !isFolded(a.data[i:end]) || hasEscape(a.data[i:end])
		a.names = append(a.names, Span{i, end})
		var err *Error
		if i, err = a.value(space(a.data, space(a.data, end)+1), level+1); err != nil {
			return i, err
		}
		i = comma(a.data, i)
	}
	if mixed {
		if err := a.siblings(a.names[base:]); err != nil {
			return i, err
		}
	}
	a.names = a.names[:base]
	return i + 1, nil
}

// imitates refuses a name that a lenient parser would take for a known one.
func (a *argumentWalker) imitates(start, end, level int) *Error {
	name := a.name(Span{start, end})
	var scratch [64]byte
	fold := name
	if !isFolded(name) {
		fold = appendFold(scratch[:0], name)
	}
	if exact, ok := a.read.exact[string(fold)]; ok && exact != string(name) {
		return imitation(start, name, exact)
	}
	if level > 0 {
		return nil
	}
	for _, set := range a.top {
		if exact, ok := set[string(fold)]; ok && exact != string(name) {
			return imitation(start, name, exact)
		}
	}
	return nil
}

func imitation(start int, name []byte, exact string) *Error {
	return &Error{Offset: int64(start), What: fmt.Sprintf("argument name %s would be read as %q by a parser that ignores case", quoteName(name), exact)}
}

// siblings refuses two members of one object that fold alike.
func (a *argumentWalker) siblings(names []Span) *Error {
	seen := make(map[string]Span, len(names))
	for _, span := range names {
		fold := Fold(string(a.name(span)))
		if other, dup := seen[fold]; dup {
			first := quoteName(a.name(other))
			return &Error{Offset: int64(span.Start),
				What: fmt.Sprintf("argument names %s and %s differ only in case", first, quoteName(a.name(span)))}
		}
		seen[fold] = span
	}
	return nil
}

// name decodes a quoted name; the result is valid until the next call.
func (a *argumentWalker) name(s Span) []byte {
	raw := s.Of(a.data)
	if len(raw) < 2 || !hasEscape(raw) {
		return raw[min(1, len(raw)):max(len(raw)-1, min(1, len(raw)))]
	}
	a.scratch, _ = jsontext.AppendUnquote(a.scratch[:0], raw) // the document was checked
	return a.scratch
}
