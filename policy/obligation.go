package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Obligation is something a permission depends on. Raw is the whole object.
type Obligation struct {
	Type string
	Raw  json.RawMessage
}

// Obligations that the gateway can meet. What is not here refuses.
const (
	RecordArguments = "record_arguments" // the arguments go into the record
	MaxCalls        = "max_calls"        // at most n calls of the grant, or of one tool under it
	RequireProof    = "require_proof"    // only with a key that the caller has proved to hold
	Label           = "label"            // the task has touched what the labels name
	Redact          = "redact"           // what is found in the result is taken out
	Refuse          = "refuse"           // a result, or arguments, that hold it are refused
	Mask            = "mask"             // a value of the result is taken out
	MaxBytes        = "max_bytes"        // at most n bytes, of the result or of arguments
	MaxRepeats      = "max_repeats"      // the same call at most n times
	RequireApproval = "require_approval" // a person must agree
)

// Bounds of one label obligation, so that a task's labels stay few and can be printed.
const (
	maxLabels     = 16
	maxLabelBytes = 128
)

// Meets reports whether this version can meet an obligation of the type. The notes of a policy
// and the gateway both ask here, so that a policy is never told that a call will be refused
// which is not, or the other way round.
func Meets(typ string) bool { return obligationForms[typ] != "" }

// Check returns nil where the gateway can meet the obligation as it stands: its type is known
// and so is every member of it. The error is fit for the one who asked.
func (o Obligation) Check() error {
	switch o.Type {
	case RecordArguments, RequireProof:
		return o.read(&struct {
			Type string `json:"type"`
		}{})
	case MaxCalls:
		_, _, err := o.MaxCalls()
		return err
	case Label:
		_, err := o.Labels()
		return err
	case Redact:
		_, _, err := o.Redact()
		return err
	case Refuse:
		_, _, _, err := o.Refuse()
		return err
	case Mask:
		_, err := o.Mask()
		return err
	case MaxBytes:
		_, _, _, err := o.MaxBytes()
		return err
	case MaxRepeats:
		_, _, err := o.MaxRepeats()
		return err
	case RequireApproval:
		_, err := o.Approval()
		return err
	}
	return fmt.Errorf("the obligation %q cannot be met by this version", o.Type)
}

// MaxCalls reads an obligation max_calls: at most n calls, n ≥ 1, of the whole grant or, with
// perTool, of the tool that is called. On an error the call must be refused.
func (o Obligation) MaxCalls() (n int64, perTool bool, err error) {
	var body struct {
		Type string `json:"type"`
		N    int64  `json:"n"`
		Per  string `json:"per"`
	}
	if err := o.read(&body); err != nil {
		return 0, false, err
	}
	switch {
	case body.Type != MaxCalls:
		return 0, false, o.malformed()
	case body.N < 1:
		return 0, false, o.malformed() // 0 would be read as "not counted" further on
	case body.Per != "grant" && body.Per != "tool":
		return 0, false, o.malformed()
	}
	return body.N, body.Per == "tool", nil
}

// Labels reads an obligation label: at least one label, at most 16, each of 1 to 128 bytes
// without spaces. On an error the call must be refused.
func (o Obligation) Labels() ([]string, error) {
	var body struct {
		Type string   `json:"type"`
		Add  []string `json:"add"`
	}
	if err := o.read(&body); err != nil {
		return nil, err
	}
	if body.Type != Label || len(body.Add) == 0 || len(body.Add) > maxLabels {
		return nil, o.malformed()
	}
	for _, l := range body.Add {
		if l == "" || len(l) > maxLabelBytes || strings.ContainsFunc(l, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
			return nil, o.malformed()
		}
	}
	return body.Add, nil
}

// read decodes the object. A member that is not known refuses: it may be the one that matters.
func (o Obligation) read(into any) error {
	d := json.NewDecoder(bytes.NewReader(o.Raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return o.malformed()
	}
	return nil
}

var obligationForms = map[string]string{
	RecordArguments: `{"type": "record_arguments"}`,
	MaxCalls:        `{"type": "max_calls", "n": 5, "per": "grant" or "tool"}`,
	RequireProof:    `{"type": "require_proof"}`,
	Label:           `{"type": "label", "add": ["source:private"]}`,
	Redact:          `{"type": "redact", "what": "secrets", "hidden" or "links"}, for secrets with "unscanned": "refuse" or "pass"`,
	Refuse:          `{"type": "refuse", "what": "secrets", "hidden" or "links", "in": "result" or "arguments"}, for secrets with "unscanned": "refuse" or "pass"`,
	Mask:            `{"type": "mask", "pointer": "/rows/*/email"}`,
	MaxBytes:        `{"type": "max_bytes", "n": 4096}, or of arguments {"type": "max_bytes", "n": 4096, "of": "arguments", "per": "call", "grant" or "tool"}`,
	MaxRepeats:      `{"type": "max_repeats", "n": 3, "within": "10m"}`,
	RequireApproval: `{"type": "require_approval", "by": "release-manager"}`,
}

// malformed quotes no value of the object: it may come from the arguments.
func (o Obligation) malformed() error {
	form, ok := obligationForms[o.Type]
	if !ok {
		return fmt.Errorf("the obligation %q cannot be met by this version", o.Type)
	}
	return fmt.Errorf("the obligation %q is malformed; write %s", o.Type, form)
}

// refusing says why an obligation as written in a policy refuses every call it is on; "" where
// that is not so or only an evaluation can tell.
func refusing(obj ast.Object) string {
	typ := obj.Get(ast.StringTerm("type"))
	if typ == nil {
		return ""
	}
	name, ok := typ.Value.(ast.String)
	if !ok {
		return ""
	}
	o := Obligation{Type: string(name)}
	err := errors.New("")
	if !Meets(o.Type) {
		err = o.Check()
	} else if value, jerr := ast.JSON(obj); obj.IsGround() && jerr == nil {
		if o.Raw, jerr = json.Marshal(value); jerr == nil {
			err = o.Check()
		}
	}
	if err == nil {
		return ""
	}
	return err.Error()
}
