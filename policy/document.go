package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// document is an Input as the published schema has it. What value gives a policy and what stands
// here must be the same; TestDocumentIsWhatPoliciesSee holds them together.
type document struct {
	Subject   *subjectDocument `json:"subject,omitempty"`
	Grant     *grantDocument   `json:"grant,omitempty"`
	Action    string           `json:"action"`
	Server    serverDocument   `json:"server"`
	Tool      *toolDocument    `json:"tool,omitempty"`
	Resource  *resource        `json:"resource,omitempty"`
	Prompt    *prompt          `json:"prompt,omitempty"`
	Arguments jsontext.Value   `json:"arguments,omitempty"`
	Flow      flowDocument     `json:"flow"`
	Request   requestDocument  `json:"request"`
	Result    jsontext.Value   `json:"result,omitempty"`
}

type subjectDocument struct {
	ID       string            `json:"id"`
	Issuer   string            `json:"issuer"`
	Client   string            `json:"client"`
	Roles    []string          `json:"roles"`
	Actors   []string          `json:"actors"`
	Claims   jsontext.Value    `json:"claims,omitempty"`
	Proof    string            `json:"proof"`
	Measured *measuredDocument `json:"measured,omitempty"`
}

type measuredDocument struct {
	Digest   string `json:"digest"`
	Approved bool   `json:"approved"`
	Changed  bool   `json:"changed"`
}

type grantDocument struct {
	ID        string    `json:"id"`
	Task      string    `json:"task"`
	Expires   time.Time `json:"expires"`
	CallsLeft *int64    `json:"calls_left,omitempty"`
}

type serverDocument struct {
	Name   string   `json:"name"`
	Labels []string `json:"labels"`
}

type toolDocument struct {
	Name        string         `json:"name"`
	Title       string         `json:"title"`
	Annotations jsontext.Value `json:"annotations,omitempty"`
	Labels      []string       `json:"labels"`
	Digest      string         `json:"digest"`
	Pinned      bool           `json:"pinned"`
	Reviewed    bool           `json:"reviewed"`
}

type resource struct {
	URI    string   `json:"uri"`
	Labels []string `json:"labels"`
}

type prompt struct {
	Name   string   `json:"name"`
	Labels []string `json:"labels"`
}

type flowDocument struct {
	Labels []string `json:"labels"`
}

type requestDocument struct {
	ID     string    `json:"id"`
	Time   time.Time `json:"time"`
	Era    string    `json:"era"`
	Method string    `json:"method"`
}

// Document writes the question as the JSON document that a policy sees as `input` and that the
// published schema describes. ReadInput reads it back.
func (in *Input) Document() ([]byte, error) {
	d := document{Action: in.Action, Server: serverDocument{in.Server, in.ServerLabels}, Flow: flowDocument{in.Flow},
		Arguments: jsontext.Value(in.Arguments), Result: jsontext.Value(in.Result),
		Request: requestDocument{in.Request.ID, in.Request.Time.UTC(), in.Request.Era, in.Request.Method}}
	if s := in.Subject; s != nil {
		d.Subject = &subjectDocument{ID: s.ID, Issuer: s.Issuer, Client: s.Client, Roles: s.Roles, Actors: s.Actors, Proof: s.Proof}
		if s.Claims != nil {
			claims, err := json.Marshal(s.Claims) // sorts the names
			if err != nil {
				return nil, fmt.Errorf("write claims: %w", err)
			}
			d.Subject.Claims = claims
		}
		if m := s.Measured; m != nil {
			d.Subject.Measured = &measuredDocument{m.Digest, m.Approved, m.Changed}
		}
	}
	if g := in.Grant; g != nil {
		d.Grant = &grantDocument{g.ID, g.Task, g.Expires.UTC(), g.CallsLeft}
	}
	if t := in.Tool; t != nil {
		d.Tool = &toolDocument{t.Name, t.Title, jsontext.Value(t.Annotations), t.Labels, t.Digest, t.Pinned, t.Reviewed}
	}
	if r := in.Resource; r != nil {
		d.Resource = &resource{r.URI, r.Labels}
	}
	if p := in.Prompt; p != nil {
		d.Prompt = &prompt{p.Name, p.Labels}
	}
	raw, err := jsonv2.Marshal(&d)
	if err != nil {
		return nil, fmt.Errorf("write input: %w", err)
	}
	return raw, nil
}

// ReadInput reads a document of the form that the published schema describes. It is strict: an
// unknown key, a key that stands twice or a value of another type is an error that says where, with
// the nearest key. What is absent is as the gateway would give it: an empty text, list or object; a
// time that is absent is the zero time.
func ReadInput(raw []byte) (*Input, error) {
	var d document
	if err := jsonv2.Unmarshal(raw, &d, jsonv2.RejectUnknownMembers(true)); err != nil {
		return nil, readError(err)
	}
	in := &Input{Action: d.Action, Server: d.Server.Name, ServerLabels: d.Server.Labels, Flow: d.Flow.Labels,
		Arguments: present(d.Arguments), Result: present(d.Result),
		Request: Request{d.Request.ID, d.Request.Time, d.Request.Era, d.Request.Method}}
	if in.Arguments != nil && d.Arguments.Kind() != '{' {
		return nil, errors.New("input.arguments is not an object")
	}
	if s := d.Subject; s != nil {
		in.Subject = &Subject{ID: s.ID, Issuer: s.Issuer, Client: s.Client, Roles: s.Roles, Actors: s.Actors, Proof: s.Proof}
		if s.Claims != nil {
			dec := json.NewDecoder(bytes.NewReader(s.Claims))
			dec.UseNumber() // a number above 2^53 stays what it is
			if err := dec.Decode(&in.Subject.Claims); err != nil {
				return nil, errors.New("input.subject.claims is not an object")
			}
		}
		if m := s.Measured; m != nil {
			in.Subject.Measured = &Measured{m.Digest, m.Approved, m.Changed}
		}
	}
	if g := d.Grant; g != nil {
		in.Grant = &Grant{g.ID, g.Task, g.Expires, g.CallsLeft}
	}
	if t := d.Tool; t != nil {
		if t.Annotations != nil && t.Annotations.Kind() != '{' {
			return nil, errors.New("input.tool.annotations is not an object")
		}
		in.Tool = &Tool{t.Name, t.Title, present(t.Annotations), t.Labels, t.Digest, t.Pinned, t.Reviewed}
	}
	if r := d.Resource; r != nil {
		in.Resource = &Item{URI: r.URI, Labels: r.Labels}
	}
	if p := d.Prompt; p != nil {
		in.Prompt = &Item{Name: p.Name, Labels: p.Labels}
	}
	return in, nil
}

// present keeps what is absent nil: an empty, not-nil result would be judged.
func present(v jsontext.Value) []byte {
	if len(v) == 0 {
		return nil
	}
	return v
}

// readError says where in the document the fault is, in the words of a policy.
func readError(err error) error {
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return fmt.Errorf("read input: %s, at byte %d: %w", atPointer(e.JSONPointer), e.ByteOffset, e.Err)
	}
	e, ok := errors.AsType[*jsonv2.SemanticError](err)
	if !ok {
		return fmt.Errorf("read input: %w", err)
	}
	at := atPointer(e.JSONPointer)
	if !errors.Is(err, jsonv2.ErrUnknownName) {
		if e.JSONKind != 0 && e.GoType != nil {
			return fmt.Errorf("read input: %s cannot be %s", at, kindWords[e.JSONKind])
		}
		return fmt.Errorf("read input: %s: %w", at, e.Err)
	}
	name := e.JSONPointer.LastToken()
	return fmt.Errorf("read input: there is no %s%s", at, orNear(name, documentKeys(string(e.JSONPointer.Parent())), "there are"))
}

var kindWords = map[jsontext.Kind]string{'n': "null", 't': "a boolean", 'f': "a boolean", '"': "this string",
	'0': "this number", '{': "an object", '[': "an array"}

func atPointer(p jsontext.Pointer) string {
	at := "input"
	for token := range p.Tokens() {
		at += "." + token
	}
	return at
}

// documentKeys are the keys that the published schema has at a pointer, or none.
func documentKeys(pointer string) []string {
	type node struct {
		Properties map[string]json.RawMessage `json:"properties"`
	}
	at := json.RawMessage(inputSchema)
	for _, token := range strings.Split(strings.TrimPrefix(pointer, "/"), "/") {
		if token == "" {
			break
		}
		var n node
		if json.Unmarshal(at, &n) != nil || n.Properties[token] == nil {
			return nil
		}
		at = n.Properties[token]
	}
	var n node
	if json.Unmarshal(at, &n) != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(n.Properties))
}
