package gateway_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"sallyport/gateway"
	"sallyport/gateway/audit"
	"sallyport/gateway/pin"
	"sallyport/identity"
	"sallyport/identity/grant"
	"sallyport/identity/identitytest"
	"sallyport/identity/jose"
	"sallyport/policy"
)

type apply = func(h *house) (lift func())

// broken makes a part fail by its fault.
func broken(part, way string) apply {
	return func(h *house) func() {
		h.faults[part].way = way
		return func() { h.faults[part].way = "" }
	}
}

// rows is the matrix. A reason stands where a part cannot fail in a way.
func rows() []row {
	return []row{keysRow(), grantsRow(), policyRow(), dataRow(), catalogueRow(), pinsRow(), schemaRow(), budgetRow(), auditRow(), credentialRow(), sandboxRow(), upstreamRow(), clockRow()}
}

func keys(change func(now *identity.KeySet) *identity.KeySet) apply {
	return func(h *house) func() {
		good := h.keys.Load()
		h.keys.Store(change(good))
		return func() { h.keys.Store(good) }
	}
}

func keysRow() row {
	const nobody, internal = "401 unauthenticated", "500 500 internal"
	return row{name: "keys", cells: map[string]cell{
		"error":    {apply: broken("keys", "error"), want: nobody},
		"time-out": {apply: broken("keys", "time-out"), want: nobody},
		"panic":    {apply: broken("keys", "panic"), want: internal},
		"empty":    {apply: keys(func(*identity.KeySet) *identity.KeySet { return &identity.KeySet{} }), want: nobody},
		"stale": {apply: func(h *house) func() {
			return keys(func(now *identity.KeySet) *identity.KeySet {
				return &identity.KeySet{ByID: identitytest.New(h.t).Keys().ByID, Epoch: now.Epoch + 1}
			})(h)
		}, want: nobody},
		"slow": {apply: broken("keys", "slow"), want: "allowed"},
		"partial": {apply: keys(func(now *identity.KeySet) *identity.KeySet {
			return &identity.KeySet{ByID: map[string]jose.Key{}, Epoch: now.Epoch + 1}
		}), want: nobody},
		"wrong type": {apply: keys(func(now *identity.KeySet) *identity.KeySet {
			bad := &identity.KeySet{ByID: map[string]jose.Key{}, Epoch: now.Epoch + 1}
			for id := range now.ByID {
				bad.ByID[id] = jose.Key{}
			}
			return bad
		}), want: nobody},
		"restart": {apply: restarted, want: "503"},
	}}
}

// restarted is a gateway that has not been given a snapshot yet.
func restarted(h *house) func() {
	h.bare(h)
	return h.swap
}

func grantsRow() row {
	const nobody = "401 unauthenticated"
	of := func(way, want string) cell { return cell{apply: broken("grants", way), want: want} }
	return row{name: "grant store", cells: map[string]cell{
		"error": of("error", nobody), "time-out": of("time-out", nobody), "panic": of("panic", "500 500 internal"),
		"empty": of("empty", nobody), "stale": of("stale", "503 503 stale"), "slow": of("slow", "allowed"),
		"partial": of("partial", "500 500 internal"), "wrong type": of("wrong type", nobody),
		"restart": {apply: func(h *house) func() {
			old := h.issuer.Grants
			_ = old.Close()
			return func() {
				next, err := grant.NewRegistry(h.t.Context(), h.issuer.Store, grant.Options{Now: h.issuer.Now})
				h.must(err)
				h.t.Cleanup(func() { _ = next.Close() })
				h.issuer.Grants = next
			}
		}, want: "503 503 stale"},
	}}
}

func decides(d policy.Decision) apply {
	return func(h *house) func() {
		p := h.snap.Policy.(*decider)
		p.answer = &d
		return func() { p.answer = nil }
	}
}

func policyRow() row {
	const denied, internal = "200 result denied", "500 500 internal"
	obliging := func(o policy.Obligation) policy.Decision {
		return policy.Decision{Allow: true, Obligations: []policy.Obligation{o}}
	}
	return row{name: "policy", cells: map[string]cell{
		"error":      {apply: broken("policy", "error"), want: denied},
		"time-out":   {apply: broken("policy", "time-out"), want: denied},
		"panic":      {apply: broken("policy", "panic"), want: internal},
		"empty":      {apply: decides(policy.Decision{}), want: denied},
		"stale":      {apply: decides(policy.Decision{Reasons: []string{"not yet"}}), want: denied},
		"slow":       {apply: broken("policy", "slow"), want: "allowed"},
		"partial":    {apply: decides(obliging(policy.Obligation{Type: "redact"})), want: denied},
		"wrong type": {apply: decides(obliging(policy.Obligation{Type: "no such"})), want: denied},
		"restart":    {apply: restarted, want: "503"},
	}}
}

// data serves a policy with other data.
func data(text string) apply {
	return func(h *house) func() {
		good := h.snap.Policy
		gen, err := h.generation(text)
		h.must(err)
		h.snap.Policy = &decider{gen, h.faults["policy"], nil}
		h.swap()
		return func() { h.snap.Policy = good; h.swap() }
	}
}

// unloaded starts a gateway whose policy cannot be loaded: there is nothing to install.
func unloaded(load func(h *house) error) apply {
	return func(h *house) func() {
		if load(h) == nil {
			h.t.Fatal("it was loaded")
		}
		return restarted(h)
	}
}

func dataRow() row {
	const denied = "200 -32602 unknown_tool"
	return row{name: "policy data", cells: map[string]cell{
		"error":      {apply: unloaded(func(h *house) error { _, err := h.generation("{"); return err }), want: "503"},
		"time-out":   none("data are read from local files before a snapshot is made; until then, see slow"),
		"panic":      none("data are values in the snapshot; no code runs"),
		"empty":      {apply: data(`{}`), want: denied},
		"stale":      {apply: data(`{"call":["list_files"]}`), want: denied},
		"slow":       {apply: restarted, want: "503"},
		"partial":    {apply: data(`{"call":[]}`), want: denied},
		"wrong type": {apply: data(`{"call":7}`), want: denied},
		"restart":    {apply: restarted, want: "503"},
	}}
}

// tools serves what the server says in place of its tools, to a gateway that knows none or, where
// known is true, to one that has known the right ones.
func tools(said string, known bool) apply {
	return func(h *house) func() {
		h.speak(said)
		if known {
			h.must(h.server.Refresh(h.t.Context()))
		} else {
			h.serve(nil)
		}
		return func() {
			h.speak("[" + matrixTool + "]")
			h.must(h.server.Refresh(h.t.Context()))
		}
	}
}

// unasked is a server whose catalogue has not been fetched.
func unasked(h *house) func() {
	h.snap.Servers = map[string]*gateway.Server{"files": gateway.NewServer("files", h.up, nil)}
	h.swap()
	return func() { h.must(h.snap.Servers["files"].Refresh(h.t.Context())) }
}

func catalogueRow() row {
	const unknown, unavailable = "200 -32602 unknown_tool", "200 502 unavailable"
	return row{name: "catalogue", cells: map[string]cell{
		"error": {apply: tools(`,`, false), want: unavailable},
		"time-out": {apply: func(h *house) func() {
			s := gateway.NewServer("files", h.up, nil)
			ctx, cancel := context.WithCancel(h.t.Context())
			cancel()
			if s.Refresh(ctx) == nil {
				h.t.Error("it was fetched after its time")
			}
			h.snap.Servers = map[string]*gateway.Server{"files": s}
			h.swap()
			return func() { h.must(s.Refresh(h.t.Context())) }
		}, want: unavailable},
		"panic":      none("it is a value that a fetch has made; a panic in a fetch ends the process, which then serves nobody"),
		"empty":      {apply: tools(`[]`, true), want: unknown},
		"stale":      {apply: tools(`[{"name":"list_files","inputSchema":{"type":"object"}}]`, true), want: unknown},
		"slow":       {apply: unasked, want: unavailable},
		"partial":    {apply: tools(`[`+matrixTool, false), want: unavailable},
		"wrong type": {apply: tools(`{}`, false), want: unavailable},
		"restart":    {apply: unasked, want: unavailable},
	}}
}

// pinned serves from pins of a file in dir.
func (h *house) pinned(dir string, mode pin.Mode) *pin.Store {
	store, err := pin.Open(filepath.Join(dir, pin.FileName), pin.Options{Mode: mode})
	h.must(err)
	h.t.Cleanup(func() { _ = store.Close() })
	h.serve(func(s *gateway.Server) { s.Pins = store.Server("files") })
	return store
}

const otherTool = `[{"name":"read_file","description":"other","inputSchema":{"type":"object"}}]`

// unopened is a file of pins that cannot be opened: the gateway does not start.
func unopened(spoil func(h *house, file string)) apply {
	return unloaded(func(h *house) error {
		file := filepath.Join(h.t.TempDir(), pin.FileName)
		spoil(h, file)
		_, err := pin.Open(file, pin.Options{})
		return err
	})
}

func written(text string) apply {
	return unopened(func(h *house, file string) { h.must(os.WriteFile(file, []byte(text), 0o600)) })
}

func pinsRow() row {
	const unknown = "200 -32602 unknown_tool"
	const local = "pins are read from a local file at the start and held in memory"
	changed := func(h *house) func() {
		h.pinned(h.t.TempDir(), pin.FirstUse)
		return tools(otherTool, true)(h)
	}
	return row{name: "pins", cells: map[string]cell{
		"error":    {apply: unopened(func(h *house, file string) { h.must(os.Mkdir(file, 0o700)) }), want: "503"},
		"time-out": none(local), "slow": none(local), "panic": none(local + "; no other code runs"),
		"empty": {apply: func(h *house) func() {
			h.pinned(h.t.TempDir(), pin.Required)
			return func() { h.pinned(h.t.TempDir(), pin.FirstUse) }
		}, want: unknown},
		"stale":      {apply: changed, want: unknown},
		"partial":    {apply: written(`{"version":`), want: "503"},
		"wrong type": {apply: written(`[7]`), want: "503"},
		"restart": {apply: func(h *house) func() { // the definition has changed meanwhile
			dir := h.t.TempDir()
			h.must(h.pinned(dir, pin.FirstUse).Close())
			h.speak(otherTool)
			h.pinned(dir, pin.FirstUse)
			return tools(otherTool, true)(h)
		}, want: unknown},
	}}
}

func schemaRow() row {
	const unknown, invalid = "200 -32602 unknown_tool", "200 result invalid_input"
	const inside = "a schema is compiled when the catalogue is fetched and checked in memory, within bounds of size and depth"
	of := func(schema, want string) cell {
		return cell{apply: tools(`[{"name":"read_file","inputSchema":`+schema+`}]`, true), want: want}
	}
	return row{name: "schema", cells: map[string]cell{
		"error":    of(`{"type":"object","$ref":"https://example.com/s"}`, unknown),
		"time-out": none(inside), "slow": none(inside), "panic": none(inside + "; a panic there is `internal` as everywhere on the line"),
		"empty":      {apply: tools(`[{"name":"read_file"}]`, true), want: unknown},
		"stale":      of(`{"type":"object","required":["since"]}`, invalid),
		"partial":    of(`{"type":"object","properties":{},"additionalProperties":false}`, invalid),
		"wrong type": of(`7`, unknown),
		"restart":    {apply: unasked, want: "200 502 unavailable"},
	}}
}

func limits(raw string) apply {
	return decides(policy.Decision{Allow: true, Obligations: []policy.Obligation{{Type: policy.MaxCalls, Raw: []byte(raw)}}})
}

func budgetRow() row {
	const denied = "200 result denied"
	// A call that was surely not recorded costs nothing; one that may have been costs one.
	spent := func(fault string, calls int64) apply {
		return func(h *house) func() {
			h.token = h.issuer.Under(h.issuer.Grant(grant.Grant{Subject: "ann", Roles: []string{"reader"}, MaxCalls: calls}))
			return broken("audit", fault)(h)
		}
	}
	return row{name: "budget", cells: map[string]cell{
		"error":    {apply: spent("error", 1), want: "503 503 unaudited"},
		"time-out": {apply: spent("time-out", 2), want: "503 503 unaudited"},
		"panic":    {apply: spent("panic", 2), want: "500 500 internal"},
		"empty": {apply: func(h *house) func() {
			good := h.token
			h.token = h.issuer.Under(h.issuer.Grant(grant.Grant{Subject: "ann", Roles: []string{"reader"}, MaxCalls: 1}))
			if a := h.call(); a != "allowed" {
				h.t.Errorf("the only call: %s", a)
			}
			return func() { h.token = good }
		}, want: "200 result limited"},
		"stale":      {apply: broken("grants", "stale"), want: "503 503 stale"},
		"slow":       {apply: broken("audit", "slow"), want: "allowed"},
		"partial":    {apply: limits(`{"type":"max_calls"}`), want: denied},
		"wrong type": {apply: limits(`{"type":"max_calls","n":"many","per":"grant"}`), want: denied},
		"restart":    {apply: restarted, want: "503"},
	}}
}

func auditRow() row {
	const unaudited = "503 503 unaudited"
	of := func(way, want string) cell { return cell{apply: broken("audit", way), want: want} }
	closed := func(h *house) func() {
		h.must(h.log.Close())
		return func() {
			var err error
			h.log, err = audit.Open(filepath.Join(h.t.TempDir(), "audit"), audit.Options{})
			h.must(err)
			h.bare(h)
			h.swap()
		}
	}
	return row{name: "audit", cells: map[string]cell{
		"error": of("error", unaudited), "time-out": of("time-out", unaudited), "panic": of("panic", "500 500 internal"),
		"empty": {apply: closed, want: unaudited}, "stale": none("a record is written and never read to decide"),
		"slow": of("slow", "allowed"), "partial": of("partial", unaudited),
		"wrong type": none("the record is a type of its own, which only the gateway fills"),
		"restart":    {apply: closed, want: unaudited},
	}}
}

func credentialRow() row {
	const unavailable = "200 502 unavailable"
	of := func(way, want string) cell { return cell{apply: broken("credential", way), want: want} }
	return row{name: "credential source", cells: map[string]cell{
		"error": of("error", unavailable), "time-out": of("time-out", unavailable), "panic": of("panic", "500 500 internal"),
		"empty": of("empty", unavailable), "stale": of("stale", unavailable), "slow": of("slow", "allowed"),
		"partial": of("partial", unavailable), "wrong type": of("wrong type", unavailable), "restart": of("restart", unavailable),
	}}
}

func upstreamRow() row {
	const unavailable = "200 502 unavailable"
	of := func(want string, f func(w http.ResponseWriter, result string)) cell {
		return cell{sent: true, want: want, apply: func(h *house) func() {
			h.reply.Store(&f)
			return func() { h.reply.Store(&replyWell) }
		}}
	}
	text := func(s string) func(http.ResponseWriter, string) {
		return func(w http.ResponseWriter, _ string) { _, _ = io.WriteString(w, s) }
	}
	silent := func(http.ResponseWriter, string) { time.Sleep(3 * time.Second) }
	drop := func(http.ResponseWriter, string) { panic(http.ErrAbortHandler) }
	return row{name: "upstream", cells: map[string]cell{
		"error":    of(unavailable, func(w http.ResponseWriter, _ string) { w.WriteHeader(500) }),
		"time-out": of("200 504 timeout", silent),
		"panic":    of(unavailable, drop),
		"empty":    of(unavailable, text("")),
		"stale":    of(unavailable, text(`{"jsonrpc":"2.0","id":6,"result":{"content":[]}}`)),
		"slow": of("200 504 timeout", func(w http.ResponseWriter, _ string) {
			_, _ = io.WriteString(w, "{")
			_ = http.NewResponseController(w).Flush()
			silent(w, "")
		}),
		"partial": of(unavailable, func(w http.ResponseWriter, s string) { _, _ = io.WriteString(w, s[:len(s)/2]) }),
		"wrong type": of(unavailable, func(w http.ResponseWriter, _ string) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<p>")
		}),
		"restart": of(unavailable, drop),
	}}
}

func clockRow() row {
	set := func(by time.Duration) apply {
		return func(h *house) func() {
			h.clock = by
			return func() { h.clock = 0 }
		}
	}
	const nobody = "401 unauthenticated"
	const system = "the clock is time.Now, which answers at once and has no error"
	unset := func(h *house) func() {
		h.zero = true
		return func() { h.zero = false }
	}
	return row{name: "clock", cells: map[string]cell{
		"error": none(system), "time-out": none(system), "panic": none(system),
		"empty": {apply: unset, want: nobody}, "stale": {apply: set(-time.Hour), want: nobody},
		"slow":    none(system),
		"partial": {apply: set(time.Hour), want: nobody}, "wrong type": {apply: set(200 * 365 * 24 * time.Hour), want: nobody},
		"restart": {apply: func(h *house) func() { lift := unset(h); h.begin(); return lift }, want: nobody},
	}}
}
