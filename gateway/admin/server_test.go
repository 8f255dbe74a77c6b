package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/identity/grant"
	"sallyport/identity/mint"
)

func TestUserWithoutRuleMayAskForNothing(t *testing.T) {
	r := start(t)
	c := r.as(t, stranger)
	ctx := t.Context()
	_, whoami := c.Whoami(ctx)
	_, create := c.Grant(ctx, mint.Ask{Roles: []string{"reader"}})
	_, list := c.List(ctx, grant.Filter{All: true})
	_, revoke := c.Revoke(ctx, grant.Filter{All: true}, grant.Revoked, "")
	_, token := c.Token(ctx, mint.TokenAsk{Grant: "gr_x"})
	_, hold := c.Hold(ctx, "gr_x")
	_, manifest := c.Manifest(ctx)
	for what, err := range map[string]error{"whoami": whoami, "create": create, "list": list, "revoke": revoke, "token": token, "hold": hold,
		"manifest": manifest, "approve": c.Approve(ctx, json.RawMessage(`{}`))} {
		wantRefusal(t, what, err, "access_denied",
			"user uid-4000000001 (uid 4000000001) may ask for nothing here; the operator adds identity.local: [{user: uid-4000000001, roles: […]}] to the gateway's configuration (operator: true for all roles and all grants)")
	}
	if acts := r.recorded(); len(acts) > 0 {
		t.Errorf("acts %v; want none", acts)
	}
}

func TestGrantIsTheCallersOwn(t *testing.T) {
	r := start(t)
	ask := mint.Ask{Roles: []string{"reader"}, Tools: []string{"files.read_*"}, TTL: 45 * time.Minute, Task: "JIRA-1234", MaxCalls: 3,
		Args:    []grant.Constraint{{Tools: "files.*", Schema: json.RawMessage(`{"properties":{"Roles":{"const":1}}}`)}},
		Budgets: []grant.Budget{{Tools: "files.read_file", Calls: 2}}, Reason: "why", ClientID: "editor", JKT: strings.Repeat("k", 43), Measured: "sha256:" + strings.Repeat("0", 64)}
	before := time.Now()
	g, err := r.as(t, dev).Grant(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	got := mint.Ask{Roles: g.Roles, Tools: g.Tools, TTL: ask.TTL, Task: g.Task, MaxCalls: g.MaxCalls, Args: g.Args, Budgets: g.Budgets,
		Reason: g.Reason, ClientID: g.ClientID, JKT: g.JKT, Measured: g.Measured}
	if diff := cmp.Diff(ask, got); diff != "" {
		t.Errorf("the grant differs from what was asked (-asked +got):\n%s", diff)
	}
	if left := g.Expires.Sub(before); left < ask.TTL || left > ask.TTL+time.Minute {
		t.Errorf("the grant ends %s after it was asked; want %s", left, ask.TTL)
	}
	if g.Subject != "dev" || g.Issuer != gatewayURL || g.Via != "socket" || g.ApprovedBy != "user dev (uid 1001)" {
		t.Errorf("subject %q of %q through %q, approved by %q; want dev of the gateway through the socket", g.Subject, g.Issuer, g.Via, g.ApprovedBy)
	}
}

func TestUserMayAskForRolesOfTheRuleAlone(t *testing.T) {
	r := start(t)
	c := r.as(t, other)
	_, err := c.Grant(t.Context(), mint.Ask{Roles: []string{"writer"}})
	wantRefusal(t, "a role of others", err, "access_denied", `user other (uid 1002) may not ask for the role "writer", only for role reader`)
	_, err = c.Grant(t.Context(), mint.Ask{Roles: []string{"reader"}, Subject: "dev"})
	wantRefusal(t, "another subject", err, "access_denied", "only an operator makes grants for others")
	_, err = c.Grant(t.Context(), mint.Ask{Roles: []string{"reader"}, Implicit: true})
	wantRefusal(t, "an implicit grant", err, "access_denied", "only an operator may mint a token without a grant of its own")
	if err := c.Approve(t.Context(), json.RawMessage(`{}`)); err == nil {
		t.Error("a user may approve measured files; want that refused")
	}
}

func TestOperatorMayAskForOthers(t *testing.T) {
	r := start(t)
	g, err := r.as(t, operator).Grant(t.Context(), mint.Ask{Roles: []string{"root"}, Subject: "ci"})
	if err != nil {
		t.Fatal(err)
	}
	if g.Subject != "ci" {
		t.Errorf("subject %q; want ci", g.Subject)
	}
	_, err = r.Grant(t.Context(), mint.Ask{Roles: []string{"reeder"}})
	wantRefusal(t, "a role that nothing knows", err, "access_denied", "no policy knows the role reeder; the nearest is reader")
}

func TestUserSeesAndEndsOnlyOwnGrants(t *testing.T) {
	r := start(t)
	ctx := t.Context()
	made := map[uint32]string{}
	for _, uid := range []uint32{dev, other} {
		g, err := r.as(t, uid).Grant(ctx, mint.Ask{Roles: []string{"reader"}})
		if err != nil {
			t.Fatal(err)
		}
		made[uid] = g.ID
	}
	mine, err := r.as(t, dev).List(ctx, grant.Filter{All: true})
	if err != nil || len(mine) != 1 || mine[0].ID != made[dev] {
		t.Errorf("a user's list = %v, %v; want %s alone", mine, err, made[dev])
	}
	if ended, _ := r.as(t, dev).Revoke(ctx, grant.Filter{ID: made[other]}, grant.Revoked, ""); len(ended) != 0 {
		t.Errorf("a user ended %v of another; want nothing", ended)
	}
	if _, err := r.as(t, dev).Token(ctx, mint.TokenAsk{Grant: made[other]}); err == nil {
		t.Error("a user got a token of another's grant")
	}
	all, err := r.as(t, operator).List(ctx, grant.Filter{All: true})
	if err != nil || len(all) != 2 || all[0].State != grant.Active || all[1].State != grant.Active {
		t.Errorf("an operator's list = %v, %v; want both, active", all, err)
	}
	ended, err := r.as(t, operator).Revoke(ctx, grant.Filter{All: true}, grant.Revoked, "enough")
	if err != nil || len(ended) != 2 || ended[0].EndedWhy != "enough" {
		t.Errorf("an operator's revoke = %v, %v; want both", ended, err)
	}
}

func TestTokenEndsWithItsGrant(t *testing.T) {
	r := start(t)
	c, ctx := r.as(t, dev), t.Context()
	g, err := c.Grant(ctx, mint.Ask{Roles: []string{"reader"}})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := c.Token(ctx, mint.TokenAsk{Grant: g.ID, TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(answer.Token, ".") != 2 || answer.Grant != g.ID || time.Until(answer.Expires) > time.Minute {
		t.Errorf("token with %d dots, of %s until %s; want one of %s for a minute", strings.Count(answer.Token, "."), answer.Grant, answer.Expires, g.ID)
	}
	if _, err := c.Revoke(ctx, grant.Filter{ID: g.ID}, grant.Revoked, "lost laptop"); err != nil {
		t.Fatal(err)
	}
	_, err = c.Token(ctx, mint.TokenAsk{Grant: g.ID})
	wantRefusal(t, "a token of an ended grant", err, "invalid_grant", g.ID)
	wantRefusal(t, "a token of an ended grant", err, "invalid_grant", "lost laptop")
}

func TestBadRequestsAreRefusedInWords(t *testing.T) {
	r := start(t)
	for _, tt := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		want                     string
	}{
		{"a page", "GET", "/v1/whoami", "", []string{"Origin", "http://evil.example"}, 403, "a web page has nothing to ask here"},
		{"a form", "POST", "/v1/grants", `{}`, []string{"Content-Type", "text/plain"}, 415, "the body must be application/json"},
		{"another path", "GET", "/v2/grants", "", nil, 404, "there is nothing at this path; are command and gateway of one version?"},
		{"another method", "DELETE", "/v1/grants", "", nil, 405, "this path does not know that method"},
		{"no body", "POST", "/v1/grants", "", []string{"Content-Type", "application/json"}, 400, "the body is not one JSON value"},
		{"a list", "POST", "/v1/grants", `[]`, nil, 400, "the body is not a JSON object"},
		{"an unknown member", "POST", "/v1/grants", `{"role":["reader"]}`, nil, 400, `unknown field \"role\"`},
		{"an imitated member", "POST", "/v1/grants", `{"Roles":["reader"]}`, nil, 400, "Roles"},
		{"an imitated member below", "POST", "/v1/grants", `{"roles":["reader"],"args":[{"Tools":"a.b"}]}`, nil, 400, "Tools"},
		{"an unknown member below", "POST", "/v1/grants", `{"roles":["reader"],"budgets":[{"tools":"a.b","call":1}]}`, nil, 400, `unknown field \"call\"`},
		{"a member twice", "POST", "/v1/grants", `{"roles":["reader"],"roles":["root"]}`, nil, 400, "the body is not one JSON value with one meaning"},
		{"two values", "POST", "/v1/grants", `{} {}`, nil, 400, "the body is not one JSON value"},
		{"a child", "POST", "/v1/grants", `{"roles":["reader"],"child":true}`, nil, 400, `unknown field \"child\"`},
		{"a number for a time", "POST", "/v1/grants", `{"roles":["reader"],"ttl":60}`, nil, 400, "the body cannot be read"},
		{"words for a time", "POST", "/v1/grants", `{"roles":["reader"],"ttl":"an hour"}`, nil, 400, `is not a duration such as \"45m\"`},
		{"too much", "POST", "/v1/grants", `{"task":"` + strings.Repeat("x", maxBody) + `"}`, nil, 413, "the request is over 64 KiB"},
		{"too long", "POST", "/v1/grants", `{"roles":["reader"],"ttl":"25h"}`, nil, 400, "a grant lives from 1s to 24h"},
		{"an unknown query", "GET", "/v1/grants?name=x", "", nil, 400, `the query has \"name\", which is unknown`},
		{"a query twice", "GET", "/v1/grants?id=x&id=y", "", nil, 400, `the query has \"id\" more than once, or empty`},
		{"an empty query", "GET", "/v1/grants?id=", "", nil, 400, `the query has \"id\" more than once, or empty`},
		{"a broken query", "GET", "/v1/grants?id=%zz", "", nil, 400, "the query cannot be read"},
		{"half of all", "GET", "/v1/grants?all=false", "", nil, 400, `the query has \"all\", which is unknown`},
		{"an end that is none", "POST", "/v1/revoke", `{"filter":{"all":true},"state":"active"}`, nil, 400, `not as \"active\"`},
		{"a filter with more", "POST", "/v1/revoke", `{"filter":{"name":"x"},"state":"revoked"}`, nil, 400, `unknown field \"name\"`},
		{"nothing to hold", "POST", "/v1/hold", `{"grant":""}`, nil, 404, "no grant of yours is called"},
		{"nothing to measure with", "GET", "/v1/measures", "", nil, 404, "this gateway keeps no manifests of measured files"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, body := r.raw(t, tt.method, tt.path, tt.body, tt.headers...)
			if status != tt.status || !strings.Contains(body, tt.want) {
				t.Errorf("%d %s; want %d with %q", status, body, tt.status, tt.want)
			}
			var ref map[string]string
			if err := json.Unmarshal([]byte(body), &ref); err != nil || len(ref) != 2 || ref["error"] == "" || ref["message"] == "" {
				t.Errorf("body %s; want error and message and nothing else", body)
			}
		})
	}
	if acts := r.recorded(); len(acts) > 0 {
		t.Errorf("acts %v; want none", acts)
	}
}

func TestOnlyOperatorsHearWhatWentWrongInside(t *testing.T) {
	r := start(t)
	c, boss := r.as(t, dev), r.as(t, operator)
	r.breakRecord(errors.New("write segment 12: no space left on device"))
	_, err := c.Grant(t.Context(), mint.Ask{Roles: []string{"reader"}})
	wantRefusal(t, "a user's grant without a record", err, "temporarily_unavailable", "the audit log cannot be written")
	if strings.Contains(err.Error(), "segment") {
		t.Errorf("a user is told %q", err)
	}
	_, err = boss.Grant(t.Context(), mint.Ask{Roles: []string{"reader"}})
	wantRefusal(t, "an operator's grant without a record", err, "temporarily_unavailable", "no space left on device")
	if found, err := boss.List(t.Context(), grant.Filter{All: true}); err != nil || len(found) != 0 {
		t.Errorf("grants %v, %v; want none without a record", found, err)
	}
}

// manifests keeps the newest manifest in memory.
type manifests struct {
	who     string
	current json.RawMessage
}

func (m *manifests) Approve(_ context.Context, who string, manifest json.RawMessage) error {
	if !json.Valid(manifest) || string(manifest) == "{}" {
		return errors.New("the manifest names no files")
	}
	m.who, m.current = who, manifest
	return nil
}

func (m *manifests) Current(context.Context) (json.RawMessage, error) { return m.current, nil }

func TestOperatorApprovesMeasuredFiles(t *testing.T) {
	var kept manifests
	r := start(t, func(o *Options) { o.Measures = &kept })
	c, boss, ctx := r.as(t, dev), r.as(t, operator), t.Context()
	if got, err := c.Manifest(ctx); err != nil || string(got) != "null" {
		t.Errorf("manifest = %s, %v; want null before any", got, err)
	}
	wantRefusal(t, "a user approves", c.Approve(ctx, json.RawMessage(`{"digest":"d"}`)), "access_denied", "user dev is no operator, and only an operator may approve measured files")
	wantRefusal(t, "nothing is approved", boss.Approve(ctx, json.RawMessage(`{}`)), "server_error", "the manifest names no files")
	long := func(n int) json.RawMessage { return json.RawMessage(`{"files":"` + strings.Repeat("x", n) + `"}`) }
	if err := boss.Approve(ctx, long(maxBody)); err != nil {
		t.Errorf("a manifest of many files: %v", err)
	}
	wantRefusal(t, "too many files are approved", boss.Approve(ctx, long(maxManifest)), "invalid_request", "the request is over 4096 KiB; measure fewer files")
	if err := boss.Approve(ctx, json.RawMessage(`{"digest":"d"}`)); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Manifest(ctx); err != nil || string(got) != `{"digest":"d"}` || kept.who != "boss" {
		t.Errorf("manifest = %s by %q, %v; want what boss approved", got, kept.who, err)
	}
}

func TestServeNeedsItsParts(t *testing.T) {
	ln, err := Listen(directory(t)+"/s", 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := Serve(t.Context(), ln, Options{}); err == nil || !strings.Contains(err.Error(), "Authority, Local and Log are required") {
		t.Errorf("Serve without an authority = %v; want an error", err)
	}
}

// One user cannot keep the others out by holding connections.
func TestConnectionsAreBoundedByUser(t *testing.T) {
	r := start(t)
	r.uid.Store(dev)
	for range maxConns {
		c := Dial(r.path)
		t.Cleanup(func() { _ = c.Close() }) // in use by nobody
		if _, err := c.Whoami(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Dial(r.path).Whoami(t.Context()); err == nil {
		t.Errorf("connection %d of one user is served; want at most %d", maxConns+1, maxConns)
	}
	r.uid.Store(other)
	c := Dial(r.path)
	defer func() { _ = c.Close() }() // in use by nobody
	if me, err := c.Whoami(t.Context()); err != nil || me.User != "other" {
		t.Errorf("another user = %v, %v; want served", me, err)
	}
}

func TestWhoamiSaysWhatACallerMayDo(t *testing.T) {
	r := start(t)
	got, err := r.as(t, dev).Whoami(t.Context())
	want := Me{User: "dev", UID: dev, Roles: []string{"reader", "writer"}, PublicURL: gatewayURL}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("whoami: %v (-want +got):\n%s", err, diff)
	}
	if code, body := r.raw(t, http.MethodGet, "/v1/whoami", ""); code != 200 || strings.Contains(body, "pid") {
		t.Errorf("whoami = %d %s", code, body)
	}
}
