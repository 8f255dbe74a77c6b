package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"sallyport/identity/grant"
	"sallyport/identity/mint"
	"sallyport/internal/strictjson"
)

// SocketName is the name of the socket in the state directory.
const SocketName = "admin.sock"

// Paths of the socket.
const (
	pathGrants   = "/v1/grants"
	pathRevoke   = "/v1/revoke"
	pathTokens   = "/v1/tokens"
	pathHold     = "/v1/hold"
	pathWhoami   = "/v1/whoami"
	pathMeasures = "/v1/measures"
	pathPins     = "/v1/pins"
	pathReview   = "/v1/pins/review"

	pathApprovals = "/v1/approvals"
)

const (
	maxBody     = 64 << 10 // bytes of a request's body
	maxManifest = 4 << 20  // of one with a manifest, which names each file
	maxDepth    = 64
	jsonType    = "application/json"
)

// askBody is a mint.Ask as it stands in a request. What it lacks, a caller of the socket
// cannot ask for: he shows no token, so there is no grant of which he could want a child.
type askBody struct {
	Roles     []string           `json:"roles,omitempty"`
	Tools     []string           `json:"tools,omitempty"`
	Args      []grant.Constraint `json:"args,omitempty"`
	MaxCalls  int64              `json:"max_calls,omitempty"`
	Budgets   []grant.Budget     `json:"budgets,omitempty"`
	TTL       duration           `json:"ttl,omitempty"`
	NotBefore time.Time          `json:"not_before,omitzero"`
	Task      string             `json:"task,omitempty"`
	Reason    string             `json:"reason,omitempty"`
	Subject   string             `json:"subject,omitempty"`
	ClientID  string             `json:"client_id,omitempty"`
	JKT       string             `json:"jkt,omitempty"`
	X5T       string             `json:"x5t,omitempty"`
	Measured  string             `json:"measured,omitempty"`
	Implicit  bool               `json:"implicit,omitempty"`
}

func bodyOf(a mint.Ask) askBody {
	return askBody{Roles: a.Roles, Tools: a.Tools, Args: a.Args, MaxCalls: a.MaxCalls, Budgets: a.Budgets, TTL: duration(a.TTL),
		NotBefore: a.NotBefore, Task: a.Task, Reason: a.Reason, Subject: a.Subject, ClientID: a.ClientID,
		JKT: a.JKT, X5T: a.X5T, Measured: a.Measured, Implicit: a.Implicit}
}

func (b askBody) ask() mint.Ask {
	return mint.Ask{Roles: b.Roles, Tools: b.Tools, Args: b.Args, MaxCalls: b.MaxCalls, Budgets: b.Budgets, TTL: time.Duration(b.TTL),
		NotBefore: b.NotBefore, Task: b.Task, Reason: b.Reason, Subject: b.Subject, ClientID: b.ClientID,
		JKT: b.JKT, X5T: b.X5T, Measured: b.Measured, Implicit: b.Implicit}
}

// tokenBody is a mint.TokenAsk as it stands in a request.
type tokenBody struct {
	Grant    string   `json:"grant"`
	TTL      duration `json:"ttl,omitempty"`
	JKT      string   `json:"jkt,omitempty"`
	X5T      string   `json:"x5t,omitempty"`
	Measured string   `json:"measured,omitempty"`
}

type revokeBody struct {
	Filter grant.Filter `json:"filter"`
	State  grant.State  `json:"state"`
	Why    string       `json:"why,omitempty"`
}

type holdBody struct {
	Grant string `json:"grant"`
}

// endedLine is what a held connection is told when its grant ended before it.
type endedLine struct {
	Ended string `json:"ended"`
}

// TokenAnswer is a token and what belongs to it.
type TokenAnswer struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
	Grant   string    `json:"grant"`
}

// Me is what the server knows of its caller, and where its gateway is.
type Me struct {
	User      string   `json:"user"`
	UID       uint32   `json:"uid"`
	Roles     []string `json:"roles,omitempty"` // that the caller may ask for; an operator may ask for any
	Operator  bool     `json:"operator"`
	PublicURL string   `json:"public_url"`
}

// refusal is the body of every answer that is not 200.
type refusal struct {
	Error   string `json:"error"`
	Message string `json:"message"`
}

// duration is a time.Duration that stands in JSON as people write it: "45m".
type duration time.Duration

func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d *duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%.40q is not a duration such as \"45m\"", text)
	}
	*d = duration(v)
	return nil
}

// The names that each object of a request may have. None may be imitated ("Roles"), and
// schemas are the caller's own, so nothing below them is guarded.
var (
	askScope = strictjson.Only(strictjson.NewKeySet("roles", "tools", "args", "max_calls", "budgets", "ttl", "not_before", "task", "reason",
		"subject", "client_id", "jkt", "x5t", "measured", "implicit"), map[string]*strictjson.Scope{
		"args":    strictjson.Only(strictjson.NewKeySet("tools", "schema", "rego"), nil),
		"budgets": strictjson.Only(strictjson.NewKeySet("tools", "calls"), nil),
	})
	tokenScope  = strictjson.Only(strictjson.NewKeySet("grant", "ttl", "jkt", "x5t", "measured"), nil)
	revokeScope = strictjson.Only(strictjson.NewKeySet("filter", "state", "why"), map[string]*strictjson.Scope{
		"filter": strictjson.Only(strictjson.NewKeySet("id", "task", "subject", "client_id", "key", "issuer", "all"), nil),
	})
	holdScope = strictjson.Only(strictjson.NewKeySet("grant"), nil)
)

// read returns the body of a POST, which is one JSON object with one meaning.
func read(r *http.Request, scope *strictjson.Scope) ([]byte, error) {
	if kind := r.Header.Get("Content-Type"); kind != jsonType || len(r.Header.Values("Content-Type")) != 1 {
		return nil, refuse(http.StatusUnsupportedMediaType, "the body must be "+jsonType)
	}
	raw, err := io.ReadAll(r.Body)
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		what := "give fewer or shorter constraints"
		if large.Limit == maxManifest {
			what = "measure fewer files"
		}
		return nil, refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("the request is over %d KiB; %s", large.Limit>>10, what))
	}
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "the body did not arrive whole")
	}
	if err := strictjson.CheckScope(raw, strictjson.Limits{Depth: maxDepth}, scope); err != nil {
		return nil, refuse(http.StatusBadRequest, "the body is not one JSON value with one meaning: "+err.Error())
	}
	if _, err := strictjson.Object(raw); err != nil {
		return nil, refuse(http.StatusBadRequest, "the body is not a JSON object")
	}
	return raw, nil
}

// decode reads the body of a POST into T, which has no members but those of its struct.
func decode[T any](r *http.Request, scope *strictjson.Scope) (T, error) {
	var v T
	raw, err := read(r, scope)
	if err != nil {
		return v, err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return *new(T), refuse(http.StatusBadRequest, "the body cannot be read: "+strings.TrimPrefix(err.Error(), "json: "))
	}
	return v, nil
}
