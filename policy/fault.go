package policy

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/types"
)

// Fault is one thing that keeps a policy directory from being installed.
type Fault struct {
	Name   string // of the kind of fault; stable
	File   string // "" where it is about the directory
	Line   int    // from 1; 0: unknown
	Column int    // in bytes, from 1; 0: unknown
	Text   string // what is wrong
	Cure   string // what to do; "" where the text says it
	Source string // the line of the file, or what a test has to say
}

// Error is the fault as `file:line: what; what to do`, and the line below.
func (f *Fault) Error() string {
	text := f.Text
	if f.Cure != "" {
		text += "; " + f.Cure
	}
	if f.File != "" && f.Line > 0 {
		text = fmt.Sprintf("%s:%d: %s", f.File, f.Line, text)
	} else if f.File != "" {
		text = f.File + ": " + text
	}
	if line := strings.TrimSpace(f.Source); line != "" {
		text += "\n\t" + strings.ReplaceAll(line, "\n", "\n\t")
	}
	return text
}

// Faults are the faults that an error of Load holds, in their order. An error that is none of ours
// comes back as a Fault without a place.
func Faults(err error) []*Fault {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var out []*Fault
		for _, e := range many.Unwrap() {
			out = append(out, Faults(e)...)
		}
		return out
	}
	if f, ok := errors.AsType[*Fault](err); ok {
		return []*Fault{f}
	}
	return []*Fault{{Name: "load", Text: err.Error()}}
}

// located makes faults of OPA's errors.
func located(err error, files map[string][]byte) error {
	var list ast.Errors
	if !errors.As(err, &list) {
		return err
	}
	out := make([]error, 0, len(list))
	for _, e := range list {
		out = append(out, faultOf(e, files))
	}
	return errors.Join(out...)
}

func faultOf(e *ast.Error, files map[string][]byte) *Fault {
	f := &Fault{Name: "compile", Text: e.Message}
	if e.Location != nil && e.Location.File != "" {
		f.File, f.Line, f.Column = e.Location.File, e.Location.Row, e.Location.Col
		f.Source = lineOf(files[f.File], f.Line)
	}
	f.Text = strings.TrimPrefix(f.Text, strings.ToLower(strings.ReplaceAll(e.Code, "_", " "))+": ")
	switch d := e.Details.(type) {
	case *ast.RefErrInvalidDetail:
		f.unknownKey(d)
	case *ast.UnificationErrDetail:
		f.Name = "wrong-type"
		if d.Left != nil && d.Right != nil {
			f.Text = fmt.Sprintf("%s: left is %s, right is %s, and these are never equal", f.Text, typeName(d.Left), typeName(d.Right))
		}
	case *ast.ArgErrDetail:
		f.Name = "wrong-type"
		f.Text += "; " + strings.Join(d.Lines(), "; ")
	}
	switch {
	case e.Code == ast.ParseErr:
		f.Name = "syntax"
	case strings.HasPrefix(f.Text, "undefined function "):
		f.Name, f.Cure = "unknown-function", functionCure(strings.TrimPrefix(f.Text, "undefined function "))
	}
	return f
}

// unknownKey words a reference to a key that is not there, and moves the place to the key.
func (f *Fault) unknownKey(d *ast.RefErrInvalidDetail) {
	f.Name, f.Text = "unknown-key", "undefined ref: "+d.Ref.String()
	key, ok := d.Ref[min(d.Pos, len(d.Ref)-1)].Value.(ast.String)
	if !ok {
		return
	}
	var there []string
	for _, v := range d.OneOf {
		if s, ok := v.(ast.String); ok {
			there = append(there, string(s))
		}
	}
	parent := d.Ref[:d.Pos].String()
	f.Text += "; " + parent + " has no " + string(key)
	f.Cure = strings.TrimPrefix(orNear(string(key), there, "it has"), "; ")
	if at := strings.Index(f.Source[min(len(f.Source), max(0, f.Column-1)):], "."+string(key)); at >= 0 {
		f.Column += at + 1
	}
}

// functionCure says what to do about a function that is not there: one of those that policies may
// not have, or a slip of the pen.
func functionCure(name string) string {
	if deniedBuiltins[name] {
		return "a policy reaches no network, environment or randomness; keep what it needs in data"
	}
	var there []string
	for _, b := range ast.Builtins {
		if !deniedBuiltins[b.Name] && !b.IsDeprecated() {
			there = append(there, b.Name)
		}
	}
	if near := nearest(name, there); len(near) > 0 {
		return "did you mean " + strings.Join(near, " or ") + "?"
	}
	return ""
}

// typeName is a type in the words of JSON.
func typeName(t types.Type) string {
	if o, ok := t.(*types.Object); ok && len(o.StaticProperties()) > 0 {
		return "an object"
	}
	return types.Sprint(t)
}

// lineOf is a line of a file as it stands there, without its end.
func lineOf(src []byte, row int) string {
	lines := bytes.Split(src, []byte("\n"))
	if row < 1 || row > len(lines) {
		return ""
	}
	return strings.TrimRight(string(lines[row-1]), "\r")
}

func sourceLine(src []byte, row int) string { return strings.TrimSpace(lineOf(src, row)) }

// oldSyntax makes one fault of the many of a file that is Rego of version 0, else returns nil.
func oldSyntax(name string, files map[string][]byte, errs ast.Errors) *Fault {
	if len(errs) == 0 {
		return nil
	}
	if _, err := ast.ParseModuleWithOpts(name, string(files[name]), ast.ParserOptions{RegoVersion: ast.RegoV0}); err != nil {
		return nil
	}
	first := slices.MinFunc(errs, func(a, b *ast.Error) int { return a.Location.Compare(b.Location) })
	f := faultOf(first, files)
	f.Name = "old-syntax"
	f.Text = "this is Rego of the old syntax (v0): " + f.Text
	f.Cure = "write `allow if { … }` and `deny contains reason if { … }`, or let OPA rewrite the file: opa fmt --v0-v1 --write " + name
	return f
}
