package strictjson

import (
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// Names are names that others must not imitate, at any depth. The zero Names are none.
type Names struct {
	exact map[string]string // by fold, one of each
	twins map[string]bool   // names that fold like another of them
	mixed bool              // one is not its own fold, so that a plain name can imitate it
}

// NewNames returns names as [CheckArguments] wants them. Of two that fold alike neither is an imitation of
// the other; a third spelling is one of both.
func NewNames(names []string) Names {
	n := Names{exact: make(map[string]string, len(names))}
	for _, name := range names {
		fold := Fold(name)
		if other, known := n.exact[fold]; known && other != name {
			if n.twins == nil {
				n.twins = map[string]bool{}
			}
			n.twins[other], n.twins[name] = true, true
			name = min(other, name)
		}
		n.exact[fold] = name
	}
	for fold, exact := range n.exact {
		n.mixed = n.mixed || fold != exact
	}
	return n
}

// imitated is the one of the names that name is not, and that a lenient parser would take it for.
func (n Names) imitated(name []byte) (exact string, yes bool) {
	if len(n.exact) == 0 {
		return "", false
	}
	var scratch [64]byte
	fold := name
	if !isFolded(name) {
		fold = appendFold(scratch[:0], name)
	}
	exact, known := n.exact[string(fold)]
	return exact, known && exact != string(name) && !n.twins[string(name)]
}

// CheckArguments applies the name rule of tool arguments to a value that has passed [Check]: no name may
// fold to a known one without being it, wherever it stands to one of read, which the policy reads, and at
// each place to one that is known at this place, such as the names that the tool's schema gives there; and
// nowhere may two siblings fold alike. Otherwise argument names are free. The error is an [*Error].
func CheckArguments(args []byte, read Names, known *Place) error {
	return Outline{}.CheckArguments(args, read, known)
}

// CheckArguments is [CheckArguments] of a value that o outlines.
func (o Outline) CheckArguments(args []byte, read Names, known *Place) error {
	start := space(args, 0)
	if start == len(args) {
		return nil
	}
	var room [16]Span // enough for most calls, without an allocation
	a := argumentWalker{data: args, read: read, outline: o.For(args), names: room[:0]}
	if _, err := a.value(start, 0, known); err != nil {
		return err
	}
	return nil
}

type argumentWalker struct {
	data    []byte
	read    Names
	names   []Span // quoted names of the objects that are open, innermost last
	scratch []byte
	outline Outline
}

func (a *argumentWalker) value(i, level int, here *Place) (int, *Error) {
	if i >= len(a.data) {
		return i, nil
	}
	if end, plain, ok := a.outline.look(i); ok && plain && level > 0 && !a.read.mixed && (here == nil || !here.mixed) {
		return end, nil // no two of its names can fold alike, and none to another than itself
	}
	switch a.data[i] {
	case '{':
		return a.object(i, level, here)
	case '[':
		return a.array(i, level, here)
	}
	return skip(a.data, i), nil
}

func (a *argumentWalker) array(i, level int, here *Place) (int, *Error) {
	i = space(a.data, i+1)
	for n := 0; i < len(a.data) && a.data[i] != ']'; n++ {
		var err *Error
		if i, err = a.value(i, level+1, here.element(n)); err != nil {
			return i, err
		}
		i = comma(a.data, i)
	}
	return i + 1, nil
}

func (a *argumentWalker) object(i, level int, here *Place) (int, *Error) {
	base, mixed := len(a.names), false
	i = space(a.data, i+1)
	for i < len(a.data) && a.data[i] != '}' {
		end := skipString(a.data, i)
		var value *Place
		var alone bool
		var err *Error
		if here != nil || len(a.read.exact) > 0 {
			if value, alone, err = a.imitates(i, end, here); err != nil {
				return i, err
			}
		}
		if !alone {
			// Names in lower-case ASCII cannot clash with each other, since exact duplicates were
			// refused before.
			mixed = mixed || !isFolded(a.data[i:end]) || hasEscape(a.data[i:end])
			a.names = append(a.names, Span{i, end})
		}
		if i, err = a.value(space(a.data, space(a.data, end)+1), level+1, value); err != nil {
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

// imitates refuses a name that a lenient parser would take for a known one, and returns what is known of
// the member's value. alone says that no other name can stand beside this one that folds alike: it would
// be refused here.
func (a *argumentWalker) imitates(start, end int, here *Place) (value *Place, alone bool, err *Error) {
	name := a.name(Span{start, end})
	if exact, yes := a.read.imitated(name); yes {
		return nil, false, imitation(start, name, exact)
	}
	if here == nil {
		return nil, false, nil
	}
	if value, known := here.Members[string(name)]; known {
		return value, len(here.names.exact) == len(here.Members), nil
	}
	if exact, yes := here.names.imitated(name); yes {
		return nil, false, imitation(start, name, exact)
	}
	return here.Rest, false, nil
}

func imitation(start int, name []byte, exact string) *Error {
	return &Error{Offset: int64(start), What: fmt.Sprintf("argument name %s would be read as %q by a parser that ignores case", quoteName(name), exact)}
}

// few is how many names are compared pairwise.
const few = 16

// siblings refuses two members of one object that fold alike.
func (a *argumentWalker) siblings(names []Span) *Error {
	if len(names) > few {
		return a.manySiblings(names)
	}
	var room [512]byte // enough for most objects, without an allocation
	var ends [few + 1]int
	folds := room[:0]
	for n, span := range names {
		folds = appendFold(folds, a.name(span))
		ends[n+1] = len(folds)
		for m := range n {
			if string(folds[ends[m]:ends[m+1]]) == string(folds[ends[n]:]) {
				return a.alike(names[m], span)
			}
		}
	}
	return nil
}

func (a *argumentWalker) manySiblings(names []Span) *Error {
	seen := make(map[string]Span, len(names))
	for _, span := range names {
		fold := Fold(string(a.name(span)))
		if other, dup := seen[fold]; dup {
			return a.alike(other, span)
		}
		seen[fold] = span
	}
	return nil
}

func (a *argumentWalker) alike(first, second Span) *Error {
	name := quoteName(a.name(first))
	return &Error{Offset: int64(second.Start), What: fmt.Sprintf("argument names %s and %s differ only in case", name, quoteName(a.name(second)))}
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
