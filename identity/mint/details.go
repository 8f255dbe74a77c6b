package mint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"sallyport/identity/grant"
	"sallyport/internal/strictjson"
)

// detailType is the one type of authorization_details (RFC 9396) that is understood.
const detailType = "mcp_grant"

// detail is the element of authorization_details: with grant, a grant that is there; else the
// description of one to be made.
type detail struct {
	Type      string             `json:"type"`
	Grant     string             `json:"grant,omitempty"`
	Roles     []string           `json:"roles,omitempty"`
	Tools     []string           `json:"tools,omitempty"`
	Args      []grant.Constraint `json:"args,omitempty"`
	MaxCalls  int64              `json:"max_calls,omitempty"`
	Budgets   []grant.Budget     `json:"budgets,omitempty"`
	Task      string             `json:"task,omitempty"`
	ClientID  string             `json:"client_id,omitempty"`
	ExpiresIn int64              `json:"expires_in,omitempty"` // seconds
	Measured  string             `json:"measured,omitempty"`
	JKT       string             `json:"jkt,omitempty"` // of a child: the key that it is bound to, where it is not the holder's
}

// detailNames guards the names of a detail against ones that a lenient parser, such as
// encoding/json, would take for them.
var detailNames = strictjson.Only(strictjson.NewKeySet("type", "grant", "roles", "tools", "args", "max_calls", "budgets",
	"task", "client_id", "expires_in", "measured", "jkt"), nil)

// innerNames does the same for the elements of args and budgets. What is below schema is the
// asker's own.
var innerNames = strictjson.Only(strictjson.NewKeySet("tools", "schema", "rego", "calls"), nil)

// parseDetails reads the parameter. Nil without a refusal: there was none.
func parseDetails(raw string) (*detail, *Refusal) {
	if raw == "" {
		return nil, nil
	}
	d, err := readDetail([]byte(raw))
	if err != nil {
		return nil, &Refusal{Code: codeDetails, Message: "authorization_details " + err.Error(), Status: 400, err: err}
	}
	return d, nil
}

func readDetail(raw []byte) (*detail, error) {
	if err := strictjson.Check(raw, strictjson.Limits{}); err != nil {
		return nil, errors.New("is not strict JSON: " + err.Error())
	}
	list, err := strictjson.Array(raw)
	if err != nil || len(list) != 1 {
		return nil, errors.New(`must be a list of exactly one object, [{"type":"mcp_grant", …}]`)
	}
	one := bytes.TrimSpace(list[0].Of(raw))
	if err := checkNames(one); err != nil {
		return nil, err
	}
	d := &detail{}
	dec := json.NewDecoder(bytes.NewReader(one))
	dec.DisallowUnknownFields()
	if err := dec.Decode(d); err != nil {
		return nil, shape(err)
	}
	return d, d.check()
}

// checkNames refuses names that imitate those of a detail.
func checkNames(one []byte) error {
	if len(one) == 0 || one[0] != '{' {
		return errors.New(`must be a list of exactly one object, [{"type":"mcp_grant", …}]`)
	}
	if err := strictjson.CheckScope(one, strictjson.Limits{}, detailNames); err != nil {
		return err
	}
	if err := checkFilled(one); err != nil {
		return err
	}
	for _, name := range []string{"args", "budgets"} {
		span, ok := strictjson.Find(one, name)
		if !ok {
			continue
		}
		list, err := strictjson.Array(span.Of(one))
		if err != nil {
			return errors.New(name + " must be a list of objects")
		}
		for _, element := range list {
			if err := strictjson.CheckScope(element.Of(span.Of(one)), strictjson.Limits{}, innerNames); err != nil {
				return errors.New(name + ": " + err.Error())
			}
		}
	}
	return nil
}

// checkFilled refuses empty members. An absent one means no bound; who writes an empty list, or
// no calls, may well mean "none at all".
func checkFilled(one []byte) (err error) {
	_ = strictjson.EachMember(one, func(m strictjson.Member) { // an object: checkNames has seen to it
		value := m.Value().Of(one)
		list, notList := strictjson.Array(value)
		switch string(value) {
		case "null", "0", `""`, "{}":
		default:
			if notList != nil || len(list) > 0 {
				return
			}
		}
		err = fmt.Errorf("has an empty member (%s); leave it out where there is to be no bound", strconv.QuoteToASCII(m.Name))
	})
	return err
}

// shape says which member does not fit, without its value.
func shape(err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return errors.New(wrong.Field + " has the wrong type: it must be a JSON " + jsonKind(wrong.Type.Kind().String()))
	}
	return errors.New("has a member that is not known; known are type, grant, roles, tools, args (tools, schema, rego), max_calls, budgets (tools, calls), task, client_id, expires_in, measured and jkt")
}

func jsonKind(kind string) string {
	switch kind {
	case "int64":
		return "whole number"
	case "slice":
		return "list"
	case "struct":
		return "object"
	}
	return kind
}

func (d *detail) check() error {
	if d.Type != detailType {
		return errors.New(`must be of the type "mcp_grant"`)
	}
	if d.Grant != "" && (d.Roles != nil || d.Tools != nil || d.Args != nil || d.MaxCalls != 0 || d.Budgets != nil ||
		d.Task != "" || d.ClientID != "" || d.ExpiresIn != 0) {
		return errors.New("either names a grant that is there (grant, with measured and jkt) or describes a new one, not both: a grant cannot be changed")
	}
	if d.ExpiresIn < 0 || d.ExpiresIn > int64(MaxGrantTTL/time.Second) {
		return errors.New("has an expires_in that is not from 1 to 86400 seconds")
	}
	return nil
}

// ask is the grant that the detail describes.
func (d *detail) ask() Ask {
	return Ask{Roles: d.Roles, Tools: d.Tools, Args: d.Args, MaxCalls: d.MaxCalls, Budgets: d.Budgets, Task: d.Task,
		ClientID: d.ClientID, TTL: time.Duration(d.ExpiresIn) * time.Second, Measured: d.Measured}
}

// granted is the detail of the answer (RFC 9396 §7).
func granted(g *grant.Grant, now time.Time) detail {
	return detail{Type: detailType, Grant: g.ID, Roles: g.Roles, Tools: g.Tools, Args: g.Args, MaxCalls: g.MaxCalls, Budgets: g.Budgets,
		Task: g.Task, ExpiresIn: int64(g.Expires.Sub(now) / time.Second)}
}
