package sallyport_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// A room is one row of the table in docs/architecture.md: what a package and all below it may
// import. A name in ours or others that ends in /... stands for itself and all below it. The
// standard library is open to every room but for what barred names.
type room struct {
	path   string
	ours   []string
	others []string
	barred []string // of the standard library
	reason string   // why the row is as narrow as it is; printed on every violation
}

const (
	jsontext   = "github.com/go-json-experiment/json/jsontext"
	jsonv2     = "github.com/go-json-experiment/json"
	golangJWT  = "github.com/golang-jwt/jwt/v5"
	golangLRU  = "github.com/hashicorp/golang-lru/v2"
	bbolt      = "go.etcd.io/bbolt/..." // errors are a package of their own
	opa        = "github.com/open-policy-agent/opa/..."
	yaml       = "go.yaml.in/yaml/v3"
	jsonschema = "github.com/santhosh-tekuri/jsonschema/v6/..."
	unix       = "golang.org/x/sys/unix"
	strict     = "sallyport/internal/strictjson"
)

// rooms is ordered: the longest path that holds a package is its row.
var rooms = []room{
	{
		path:   "sallyport/internal/strictjson",
		others: []string{jsontext},
		reason: "everything that judges bytes stands on this one scanner, so it stands on nothing of ours",
	},
	{
		path:   "sallyport/internal/corpora",
		reason: "it finds test data and knows nothing else",
	},
	{
		path:   "sallyport/internal/freeport",
		reason: "it finds ports for tests and knows nothing else",
	},
	{
		path:   "sallyport/identity",
		ours:   []string{strict, "sallyport/identity/..."},
		others: []string{golangJWT, golangLRU, bbolt},
		reason: "who is calling must be answerable without knowing what is asked or what a policy is",
	},
	{
		path:   "sallyport/identity/pop",
		ours:   []string{strict, "sallyport/identity/jose"},
		reason: "whether a proof is good must not depend on what the token says, and the client's side takes it along",
	},
	{
		path:   "sallyport/policy",
		ours:   []string{strict, "sallyport/policy/..."},
		others: []string{jsontext, jsonv2, opa, golangLRU, yaml, jsonschema},
		barred: []string{"net", "net/http", "os/exec"},
		reason: "a decision depends on its input alone; policy and identity never meet, one function in gateway decides what a policy sees of a principal",
	},
	{
		path:   "sallyport/policy/builtin",
		others: []string{opa, "golang.org/x/text/unicode/norm", "github.com/wasilibs/go-pgquery"},
		barred: []string{"net/http", "os/exec"},
		reason: "whether an argument is of its kind depends on the argument and on nothing of ours",
	},
	{
		path:   "sallyport/gateway/wire",
		ours:   []string{strict},
		others: []string{"github.com/mark3labs/mcp-go/mcp"},
		reason: "a message has one meaning whoever sent it and whatever is decided about it; of mcp-go only constants and header rules, never its types on the path",
	},
	{
		path:   "sallyport/gateway/audit",
		others: []string{unix, "golang.org/x/mod/sumdb/..."},
		barred: []string{"net", "net/http"},
		reason: "the record must outlive and judge every other room, so it can depend on none of them; unix is there for fdatasync and the directory's lock",
	},
	{
		path:   "sallyport/gateway/audit/inputs",
		ours:   []string{"sallyport/gateway/audit"},
		others: []string{"filippo.io/age"},
		barred: []string{"net", "net/http"},
		reason: "what seals the arguments of calls must be readable on its own; it knows the form of a record and nothing of who asks",
	},
	{
		path:   "sallyport/gateway/audit/reader",
		ours:   []string{"sallyport/gateway/audit"},
		others: []string{"golang.org/x/mod/sumdb/..."},
		barred: []string{"net", "net/http", "os/exec"},
		reason: "a record is judged on machines that have nothing but it",
	},
	{
		path:   "sallyport/gateway/sandbox",
		others: []string{unix, "github.com/landlock-lsm/...", "github.com/elastic/go-seccomp-bpf/...", "golang.org/x/net/bpf"},
		reason: "what isolates a process must be readable on its own",
	},
	{
		path:   "sallyport/gateway/egress",
		reason: "the one way out of a sandbox: it knows addresses and nothing of what passes",
	},
	{
		path: "sallyport/gateway/agent",
		ours: []string{strict, "sallyport/identity/jose", "sallyport/gateway/sandbox", "sallyport/gateway/egress"},
		// unix: the agent's own terminal.
		others: []string{unix},
		reason: "it says what an agent may see of a machine and what of it was measured; it makes no grant and holds no token",
	},
	{
		path:   "sallyport/gateway/credential",
		ours:   []string{strict},
		reason: "it holds the gateway's secrets for servers; what it cannot import it cannot tell them to",
	},
	{
		path:   "sallyport/gateway/hangup",
		barred: []string{"net/http"},
		reason: "it watches connections for their end and must neither read what they carry nor know whose they are",
	},
	{
		path:   "sallyport/gateway/bridge",
		ours:   []string{strict, "sallyport/gateway", "sallyport/gateway/wire"},
		reason: "it changes the form of what a Permit holds and can neither see who asked nor decide anything",
	},
	{
		path:   "sallyport/gateway/session",
		ours:   []string{"sallyport/gateway/wire"},
		others: []string{golangLRU},
		reason: "sessions and handles bind to a principal's key, an opaque string; they need not know what is behind it. The LRU bounds their number",
	},
	{
		path:   "sallyport/gateway/catalog",
		ours:   []string{strict, "sallyport/gateway/wire", "sallyport/gateway/guard/hidden"},
		others: []string{jsonschema},
		barred: []string{"net/http"},
		reason: "tool definitions come from servers that are not trusted; reading them must reach nothing",
	},
	{
		path:   "sallyport/gateway/federation",
		ours:   []string{strict, "sallyport/gateway/wire", "sallyport/gateway/catalog"},
		barred: []string{"net", "net/http"},
		reason: "it makes names of names; who may use them is asked elsewhere",
	},
	{
		path:   "sallyport/gateway/pin",
		ours:   []string{strict, "sallyport/gateway/wire", "sallyport/gateway/catalog", "sallyport/gateway/guard/hidden"},
		others: []string{yaml},
		barred: []string{"net", "net/http"},
		reason: "it keeps what servers say of themselves and compares it; looking at hostile definitions must reach nothing",
	},
	{
		path:   "sallyport/gateway/rules",
		ours:   []string{"sallyport/policy/builtin", "sallyport/internal/strictjson"},
		barred: []string{"net", "net/http"},
		reason: "it holds what the operator says of tools and decides nothing by itself",
	},
	{
		path:   "sallyport/gateway/approval",
		barred: []string{"net", "net/http"},
		reason: "it keeps what waits for a person, and knows neither who asks nor what a policy is",
	},
	{
		path:   "sallyport/gateway/guard",
		ours:   []string{strict, "sallyport/gateway/guard/..."},
		others: []string{"golang.org/x/net/idna"},
		barred: []string{"net", "net/http", "os", "os/exec"},
		reason: "the second door reads hostile results; reading them must reach nothing",
	},
	{
		path:   "sallyport/gateway/guard/hidden",
		others: []string{"golang.org/x/text/unicode/norm"},
		barred: []string{"net", "net/http", "os", "os/exec"},
		reason: "it judges characters and knows nothing of messages",
	},
	{
		path:   "sallyport/gateway/guard/secrets",
		others: []string{"github.com/zricethezav/gitleaks/v8/config", "github.com/spf13/viper", "golang.org/x/text/unicode/norm"},
		barred: []string{"net", "net/http", "os", "os/exec"},
		reason: "it finds patterns in hostile texts and decides nothing; of gitleaks the rules alone, for its detector reads files and starts programs",
	},
	{
		path: "sallyport/gateway/upstream",
		ours: []string{strict, "sallyport/gateway", "sallyport/gateway/wire", "sallyport/gateway/credential"},
		// unix: asking a kept connection whether its peer has closed it.
		others: []string{unix},
		reason: "it sends what a Permit holds and can neither see who asked nor decide anything",
	},
	{
		path:   "sallyport/gateway/config",
		ours:   []string{strict, "sallyport/gateway/...", "sallyport/identity/...", "sallyport/policy/..."},
		others: []string{"github.com/caarlos0/env/v11", yaml, "github.com/fsnotify/fsnotify"},
		reason: "it wires all parts and is the only room that knows them all",
	},
	{
		path:   "sallyport/gateway/observe",
		ours:   []string{"sallyport/gateway"},
		others: []string{"go.opentelemetry.io/...", "github.com/prometheus/client_golang/..."},
		reason: "telemetry wraps the parts from outside; no part knows of it",
	},
	{
		path: "sallyport/gateway/admin",
		ours: []string{strict, "sallyport/identity/grant", "sallyport/identity/mint", "sallyport/gateway/approval"},
		// unix: asking the kernel who is at the other end of a socket.
		others: []string{unix},
		reason: "the socket says who asks and passes on what the authority answers; it can neither see a call nor decide one",
	},
	{
		path:   "sallyport/gateway/shim",
		ours:   []string{strict, "sallyport/gateway/wire", "sallyport/identity/..."},
		reason: "the client's side of the gateway shares its wire format and nothing of its inside",
	},
	{
		path: "sallyport/gateway",
		ours: []string{
			strict, "sallyport/identity", "sallyport/identity/grant", "sallyport/policy", "sallyport/gateway/wire", "sallyport/gateway/session",
			"sallyport/gateway/catalog", "sallyport/gateway/federation", "sallyport/gateway/guard/...", "sallyport/gateway/rules", "sallyport/gateway/approval", "sallyport/gateway/pin", "sallyport/gateway/audit",
			"sallyport/gateway/hangup",
		},
		reason: "the line defines Upstream, Verifier, Decider and Recorder and implements none; it works with the standard library and the rooms it is built of",
	},
	{
		path:   "sallyport/examples",
		reason: "examples are policies and their README; the code beside them only finds and tests them",
	},
	{
		path: "sallyport/cmd/sallyport",
		ours: []string{"sallyport/..."},
		others: []string{
			"github.com/spf13/cobra", "github.com/mark3labs/mcp-go/...", yaml, "golang.org/x/sync/errgroup", unix,
		},
		reason: "the binary wires rooms; a library it needs beyond flags and the demo's servers belongs in a room",
	},
	{
		path: "sallyport/test",
		ours: []string{"sallyport/..."},
		// mcp-go: the servers of test/phishing.
		others: []string{
			"github.com/mark3labs/mcp-go/...",
			"github.com/rogpeppe/go-internal/...", "github.com/google/go-cmp/...", yaml, unix,
		},
		reason: "tests from outside use the binary, not libraries",
	},
	{
		path:   "sallyport/test/bench",
		ours:   []string{"sallyport/..."},
		others: []string{"github.com/HdrHistogram/hdrhistogram-go", "github.com/mark3labs/mcp-go/...", bbolt, unix},
		reason: "it drives the binary, and keeps what it measures in the form that other tools read; mcp-go is a proxy to compare with",
	},
	{
		path:   "sallyport/test/mutation",
		ours:   []string{"sallyport/policy"},
		others: []string{opa},
		reason: "it changes policies as the engine reads them and asks the gateway's own loader what their tests say",
	},
}

// listed is what this test reads of `go list -json`.
type listed struct {
	ImportPath string
	Imports    []string
}

// TestImportsFollowTheTable holds every package to its row. What only a package's own tests
// import is not judged: a test may meet what its package may not.
func TestImportsFollowTheTable(t *testing.T) {
	packages := list(t)
	if len(packages) < 10 {
		t.Fatalf("go list found %d packages; the table would prove nothing", len(packages))
	}
	for _, p := range packages {
		r, ok := rowOf(p.ImportPath)
		if !ok {
			t.Errorf("%s has no row in the table of rooms: say what it may import, here and in docs/architecture.md", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			if !r.allows(imported) {
				t.Errorf("%s imports %s, which the row of %s does not allow: %s", p.ImportPath, imported, r.path, r.reason)
			}
		}
	}
}

// TestTableRefuses shows that the table can say no, with the imports it exists to prevent.
func TestTableRefuses(t *testing.T) {
	for _, tt := range []struct{ from, to string }{
		{"sallyport/policy", "sallyport/identity"},
		{"sallyport/identity", "sallyport/policy"},
		{"sallyport/policy", "net/http"},
		{"sallyport/gateway", "sallyport/gateway/upstream"},
		{"sallyport/gateway", "sallyport/gateway/config"},
		{"sallyport/gateway", "go.opentelemetry.io/otel"},
		{"sallyport/gateway/audit", "sallyport/gateway"},
		{"sallyport/gateway/wire", "github.com/mark3labs/mcp-go/server"},
		{"sallyport/gateway/upstream", "sallyport/identity"},
		{"sallyport/internal/strictjson", "sallyport/gateway/wire"},
	} {
		r, ok := rowOf(tt.from)
		if !ok {
			t.Errorf("%s has no row", tt.from)
		} else if r.allows(tt.to) {
			t.Errorf("row of %s allows %s; want refused", tt.from, tt.to)
		}
	}
	if _, ok := rowOf("sallyport/gatewayish"); ok {
		t.Error("sallyport/gatewayish has a row; want none: a path is not a prefix of letters")
	}
}

func (r room) allows(imported string) bool {
	switch {
	case standard(imported):
		return !slices.Contains(r.barred, imported)
	case imported == "sallyport" || strings.HasPrefix(imported, "sallyport/"):
		return slices.ContainsFunc(r.ours, func(p string) bool { return matches(p, imported) })
	default:
		return slices.ContainsFunc(r.others, func(p string) bool { return matches(p, imported) })
	}
}

func matches(pattern, path string) bool {
	if tree, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == tree || strings.HasPrefix(path, tree+"/")
	}
	return path == pattern
}

// standard reports whether path is of the standard library: its first element has no dot and
// is not this module.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return first != "sallyport" && !strings.Contains(first, ".")
}

func rowOf(path string) (room, bool) {
	if path+"/" == "sallyport/" { // this directory holds tests alone
		return room{path: path, reason: "the root of the module holds no code"}, true
	}
	best := room{}
	for _, r := range rooms {
		if matches(r.path+"/...", path) && len(r.path) > len(best.path) {
			best = r
		}
	}
	return best, best.path != ""
}

func list(t *testing.T) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatalf("read the output of go list: %v", err)
		}
		packages = append(packages, p)
	}
}
