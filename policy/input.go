package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/open-policy-agent/opa/v1/ast"

	"sallyport/internal/strictjson"
)

// value builds `input` as far as r reads it. With known false, what a list does not know stays
// out.
func (r *reads) value(in *Input, known bool) (ast.Value, error) {
	o := newObject(10)
	o.text("action", in.Action)
	o.object("server", func(o *object) {
		o.text("name", in.Server)
		o.texts("labels", in.ServerLabels)
	})
	if in.Subject != nil {
		if err := subjectValue(o, in.Subject, r.part("subject", "claims")); err != nil {
			return nil, err
		}
	}
	if in.Grant != nil {
		o.object("grant", func(o *object) {
			o.text("id", in.Grant.ID)
			o.text("task", in.Grant.Task)
			o.text("expires", in.Grant.Expires.UTC().Format(time.RFC3339Nano))
			if in.Grant.CallsLeft != nil && known {
				o.put("calls_left", ast.NumberTerm(json.Number(strconv.FormatInt(*in.Grant.CallsLeft, 10))))
			}
		})
	}
	if err := itemValues(o, in, known); err != nil {
		return nil, err
	}
	if !known {
		return o.value(), nil
	}
	args, err := r.arguments(in.Arguments, in.ArgumentsOutline)
	if err != nil {
		return nil, err
	}
	o.put("arguments", args)
	o.object("flow", func(o *object) { o.texts("labels", in.Flow) })
	o.object("request", func(o *object) {
		o.text("id", in.Request.ID)
		o.text("time", in.Request.Time.UTC().Format(time.RFC3339Nano))
		o.text("era", in.Request.Era)
		o.text("method", in.Request.Method)
	})
	if in.Result != nil {
		result, err := parseValue(in.Result)
		if err != nil {
			return nil, fmt.Errorf("read result: %w", err)
		}
		o.put("result", ast.NewTerm(result))
	}
	return o.value(), nil
}

func subjectValue(o *object, s *Subject, claims bool) (err error) {
	o.object("subject", func(o *object) {
		o.text("id", s.ID)
		o.text("issuer", s.Issuer)
		o.text("client", s.Client)
		o.texts("roles", s.Roles)
		o.texts("actors", s.Actors)
		o.text("proof", s.Proof)
		if s.Measured != nil {
			o.object("measured", func(o *object) {
				o.text("digest", s.Measured.Digest)
				o.put("approved", ast.BooleanTerm(s.Measured.Approved))
				o.put("changed", ast.BooleanTerm(s.Measured.Changed))
			})
		}
		if !claims {
			return
		}
		var v ast.Value
		if v, err = ast.InterfaceToValue(s.Claims); err == nil {
			o.put("claims", ast.NewTerm(v))
		}
	})
	if err != nil {
		return fmt.Errorf("read claims: %w", err)
	}
	return nil
}

func itemValues(o *object, in *Input, known bool) (err error) {
	if t := in.Tool; t != nil {
		o.object("tool", func(o *object) {
			o.text("name", t.Name)
			o.text("title", t.Title)
			o.texts("labels", t.Labels)
			o.text("digest", t.Digest)
			o.put("pinned", ast.BooleanTerm(t.Pinned))
			o.put("reviewed", ast.BooleanTerm(t.Reviewed))
			annotations := ast.Value(ast.NewObject())
			if len(t.Annotations) > 0 {
				annotations, err = parseValue(t.Annotations)
			}
			if err == nil {
				o.put("annotations", ast.NewTerm(annotations))
			}
		})
		if err != nil {
			return fmt.Errorf("read tool annotations: %w", err)
		}
	}
	if r := in.Resource; r != nil {
		o.object("resource", func(o *object) {
			if known || !in.ResourceTemplate {
				o.text("uri", r.URI)
			}
			o.texts("labels", r.Labels)
		})
	}
	if p := in.Prompt; p != nil {
		o.object("prompt", func(o *object) {
			o.text("name", p.Name)
			o.texts("labels", p.Labels)
		})
	}
	return nil
}

// arguments converts only the arguments that the policies read: a large document that no rule
// looks at costs nothing.
func (r *reads) arguments(raw []byte, o strictjson.Outline) (*ast.Term, error) {
	if len(raw) == 0 || !r.allArgs && len(r.args) == 0 {
		return ast.ObjectTerm(), nil
	}
	if r.allArgs {
		v, err := parseValue(raw)
		if err != nil {
			return nil, fmt.Errorf("read arguments: %w", err)
		}
		return ast.NewTerm(v), nil
	}
	var pairs [][2]*ast.Term
	var failed error
	err := o.EachMember(raw, func(m strictjson.Member) {
		if !r.args[m.Name] {
			return
		}
		v, err := parseValue(m.Value().Of(raw))
		if err != nil {
			failed = err
			return
		}
		pairs = append(pairs, [2]*ast.Term{ast.StringTerm(m.Name), ast.NewTerm(v)})
	})
	if err != nil || failed != nil {
		return nil, fmt.Errorf("read arguments: %w", firstError(err, failed))
	}
	return ast.ObjectTerm(pairs...), nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// object builds an AST object from distinct names.
type object struct{ pairs [][2]*ast.Term }

func newObject(n int) *object { return &object{make([][2]*ast.Term, 0, n)} }

func (o *object) put(name string, t *ast.Term) {
	o.pairs = append(o.pairs, [2]*ast.Term{ast.InternedTerm(name), t})
}

func (o *object) text(name, s string) { o.put(name, ast.StringTerm(s)) }

func (o *object) texts(name string, list []string) {
	terms := make([]*ast.Term, len(list))
	for i, s := range list {
		terms[i] = ast.StringTerm(s)
	}
	o.put(name, ast.ArrayTerm(terms...))
}

func (o *object) object(name string, fill func(*object)) {
	child := newObject(8)
	fill(child)
	o.put(name, ast.NewTerm(child.value()))
}

func (o *object) value() ast.Value { return ast.NewObject(o.pairs...) }

// parseValue reads JSON straight into the AST. Duplicate names are an error: ast.NewObject
// would build an object that says two things.
func parseValue(raw []byte) (ast.Value, error) {
	d := jsontext.NewDecoder(bytes.NewReader(raw))
	v, err := readValue(d)
	if err != nil {
		return nil, err
	}
	if _, err := d.ReadToken(); err != io.EOF { // the decoder returns io.EOF itself
		return nil, fmt.Errorf("data after the value")
	}
	return v, nil
}

func readValue(d *jsontext.Decoder) (ast.Value, error) {
	tok, err := d.ReadToken()
	if err != nil {
		return nil, err
	}
	switch tok.Kind() {
	case '{':
		var pairs [][2]*ast.Term
		for d.PeekKind() != '}' {
			name, err := readValue(d)
			if err != nil {
				return nil, err
			}
			v, err := readValue(d)
			if err != nil {
				return nil, err
			}
			pairs = append(pairs, [2]*ast.Term{ast.NewTerm(name), ast.NewTerm(v)})
		}
		_, err := d.ReadToken()
		return ast.NewObject(pairs...), err
	case '[':
		var terms []*ast.Term
		for d.PeekKind() != ']' {
			v, err := readValue(d)
			if err != nil {
				return nil, err
			}
			terms = append(terms, ast.NewTerm(v))
		}
		_, err := d.ReadToken()
		return ast.NewArray(terms...), err
	case '"':
		return ast.String(tok.String()), nil
	case '0':
		return ast.Number(tok.String()), nil
	case 't', 'f':
		return ast.Boolean(tok.Bool()), nil
	default:
		return ast.NullValue, nil
	}
}
