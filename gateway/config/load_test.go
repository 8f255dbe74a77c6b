package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write what is said now into testdata/refused.txtar")

// write puts a configuration into a directory of its own and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const minimal = "mcpServers: {a: {url: \"http://127.0.0.1:9000/mcp\"}}\n"

// Each case of testdata/refused.txtar is a configuration and everything that is said of it.
func TestEveryMistakeIsNamedWithItsLine(t *testing.T) {
	const file = "testdata/refused.txtar"
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(archive.Files)%2 != 0 || len(archive.Files) < 40 {
		t.Fatalf("%d files in the archive; want pairs of case and message", len(archive.Files))
	}
	for i := 0; i < len(archive.Files); i += 2 {
		in, want := archive.Files[i], archive.Files[i+1]
		t.Run(in.Name, func(t *testing.T) {
			env := map[string]string{"HOME": "/home/none"}
			text := string(in.Data)
			for strings.HasPrefix(text, "# env ") {
				var line string
				line, text, _ = strings.Cut(text, "\n")
				name, value, _ := strings.Cut(strings.TrimPrefix(line, "# env "), "=")
				env[name] = value
			}
			file := ""
			if strings.TrimSpace(text) != "none" {
				file = write(t, "sallyport.yaml", text)
			}
			cfg, err := Load(file, env)
			if err == nil || cfg != nil {
				t.Fatalf("accepted:\n%s", text)
			}
			got := strings.ReplaceAll(err.Error(), filepath.Dir(file)+"/", "") + "\n"
			if *update {
				archive.Files[i+1].Data = []byte(got)
			} else if diff := cmp.Diff(string(want.Data), got); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
			if strings.Contains(got, "hunter2") {
				t.Error("the message holds a secret")
			}
		})
	}
	if *update {
		if err := os.WriteFile(file, txtar.Format(archive), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDefaultsHoldWhereNothingIsSaid(t *testing.T) {
	file := write(t, "sallyport.yaml", minimal)
	cfg, err := Load(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(file)
	want := Config{Listen: "127.0.0.1:8080", PublicURL: "http://127.0.0.1:8080", State: dir + "/state", Policies: dir + "/policies", PolicyPoll: Duration(30 * time.Second), Enforce: true,
		Admin: Admin{Listen: "127.0.0.1:8081"}, Identity: Identity{TokenTTL: Duration(5 * time.Minute)},
		Pins: "firstUse", Guards: Guards{Secrets: true, Hidden: true}, Approvals: Approvals{TTL: Duration(15 * time.Minute)},
		Audit:  Audit{Inputs: "none", InputBytes: 64 << 10},
		Limits: Limits{4 << 20, 16 << 20, 64, Duration(time.Minute), Duration(30 * time.Second), 16},
		Servers: map[string]*Server{"a": {Type: "http", URL: "http://127.0.0.1:9000/mcp", Credential: Credential{Header: "Authorization", Prefix: "Bearer ", Timeout: Duration(10 * time.Second), MaxAge: Duration(5 * time.Minute), ClientAuth: "secretBasic"},
			Instance: "grant", StartTimeout: Duration(30 * time.Second), Idle: Duration(5 * time.Minute), MaxProcesses: 64,
			Sandbox: Sandbox{Type: "process", Profile: "none", Memory: 1 << 30, Processes: 128, Files: 1024, CPUTime: Duration(time.Hour), Tmp: 256 << 20, FileSize: 1 << 30}}}}
	got := *cfg
	got.source, got.notes = source{}, nil
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(Config{}, source{}, Server{}, implied{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPathsAreRelativeToTheFileAndThoseOfTheEnvironmentToTheWorkingDirectory(t *testing.T) {
	file := write(t, "sallyport.yaml", "state: s\npolicies: p\ntls: {cert: c.pem, key: /k.pem}\n"+
		"mcpServers: {a: {url: \"https://a/mcp\", tls: {ca: ca.pem}, credential: {type: file, path: ../secret}}}\n")
	t.Chdir(t.TempDir())
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := Load(file, map[string]string{"SALLYPORT_POLICIES": "mine"})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(file)
	want := []string{dir + "/s", cwd + "/mine", dir + "/c.pem", "/k.pem", dir + "/ca.pem", filepath.Dir(dir) + "/secret"}
	got := []string{cfg.State, cfg.Policies, cfg.TLS.Cert, cfg.TLS.Key, cfg.Servers["a"].TLS.CA, cfg.Servers["a"].Credential.Path}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTheSidecarNeedsNoFile(t *testing.T) {
	env := map[string]string{"SALLYPORT_UPSTREAM": "http://127.0.0.1:9000/mcp", "SALLYPORT_POLICIES": "/p", "XDG_STATE_HOME": "/x"}
	cfg, err := Load("", env)
	if err != nil {
		t.Fatal(err)
	}
	if s := cfg.Servers["upstream"]; s == nil || s.URL != "http://127.0.0.1:9000/mcp" || len(cfg.Servers) != 1 {
		t.Errorf("servers %v; want upstream alone", cfg.Servers)
	}
	if cfg.State != "/x/sallyport" {
		t.Errorf("state %s; want /x/sallyport", cfg.State)
	}
	delete(env, "XDG_STATE_HOME")
	env["HOME"] = "/home/h"
	if cfg, err = Load("", env); err != nil || cfg.State != "/home/h/.local/state/sallyport" {
		t.Errorf("without XDG_STATE_HOME: %v, %v", cfg, err)
	}
}

func TestEveryScalarHasAVariable(t *testing.T) {
	file := write(t, "sallyport.yaml", minimal+"listen: 127.0.0.1:1\nlimits: {depth: 10}\n")
	values := map[string]string{"SALLYPORT_LISTEN": "0.0.0.0:9", "SALLYPORT_PUBLIC_URL": "https://H.example/", "SALLYPORT_STATE": "/s", "SALLYPORT_TLS_CERT": "/c",
		"SALLYPORT_TLS_KEY": "/k", "SALLYPORT_BEHIND_TLS": "true", "SALLYPORT_ADMIN_LISTEN": "off", "SALLYPORT_POLICIES": "/p", "SALLYPORT_SHADOW": "/next", "SALLYPORT_ENFORCE": "false",
		"SALLYPORT_IDENTITY_TOKEN_TTL": "2m", "SALLYPORT_LIMITS_REQUEST_BYTES": "1MiB", "SALLYPORT_LIMITS_RESULT_BYTES": "2048", "SALLYPORT_LIMITS_DEPTH": "32",
		"SALLYPORT_LIMITS_CALL_TIMEOUT": "3s", "SALLYPORT_LIMITS_BODY_TIMEOUT": "4s", "SALLYPORT_LIMITS_CONCURRENT_PER_GRANT": "7",
		"SALLYPORT_TLS_CLIENT_CA": "/ca", "SALLYPORT_ADMIN_SOCKET": "/sock", "SALLYPORT_IDENTITY_REQUIRE_PROOF": "true", "SALLYPORT_IDENTITY_REQUIRE_PROOF_FOR": "deployer,admin",
		"SALLYPORT_PINS": "required", "SALLYPORT_GUARDS_SECRETS": "false", "SALLYPORT_GUARDS_HIDDEN": "false", "SALLYPORT_GUARDS_LINK_HOSTS": "example.com,*.example.org",
		"SALLYPORT_GUARDS_CONTENT": "text,image", "SALLYPORT_GUARDS_CANARIES": "marker-one", "SALLYPORT_GUARDS_CANARY_FILE": "/canaries", "SALLYPORT_APPROVALS_TTL": "1h",
		"SALLYPORT_POLICY_KEY": "/sign.pub", "SALLYPORT_POLICY_CA": "/depot.pem", "SALLYPORT_POLICY_POLL": "9s", "SALLYPORT_AUDIT_INPUTS": "sealed", "SALLYPORT_AUDIT_RECIPIENTS": recipient, "SALLYPORT_AUDIT_INPUT_BYTES": "1MiB"}
	for _, f := range Fields() {
		if f.Env != "" && f.Path != "" && values[f.Env] == "" {
			t.Errorf("%s is not tried", f.Env)
		}
		if f.Env == "" && f.Path != "" && !strings.Contains(f.Path, "*") {
			t.Errorf("%s has no variable", f.Path)
		}
	}
	cfg, err := Load(file, values)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{Listen: "0.0.0.0:9", PublicURL: "https://h.example", State: "/s", TLS: TLS{"/c", "/k", "/ca"}, BehindTLS: true, Admin: Admin{"off", "/sock"}, Policies: "/p", Shadow: "/next",
		PolicyKey: "/sign.pub", PolicyCA: "/depot.pem", PolicyPoll: Duration(9 * time.Second),
		Identity: Identity{TokenTTL: Duration(2 * time.Minute), RequireProof: true, RequireProofFor: []string{"deployer", "admin"}}, Limits: Limits{1 << 20, 2048, 32, Duration(3 * time.Second), Duration(4 * time.Second), 7}, Servers: cfg.Servers,
		Pins: "required", Approvals: Approvals{TTL: Duration(time.Hour)}, Audit: Audit{Inputs: "sealed", Recipients: []string{recipient}, InputBytes: 1 << 20},
		Guards: Guards{LinkHosts: []string{"example.com", "*.example.org"}, Content: []string{"text", "image"}, Canaries: []string{"marker-one"}, CanaryFile: "/canaries"}}
	got := *cfg
	got.source, got.notes = source{}, nil
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(Config{}, source{}, Server{}, implied{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAClientsFileIsRead(t *testing.T) {
	// Indented by tabs, as editors leave it; JSON allows them.
	file := write(t, ".mcp.json", "{\n\t\"mcpServers\": {\n\t\t\"tickets\": {\n\t\t\t\"type\": \"http\",\n\t\t\t\"url\": \"${BASE:-https://tickets.example}/mcp\",\n"+
		"\t\t\t\"headers\": {\n\t\t\t\t\"Authorization\": \"Bearer ${TOKEN}\"\n\t\t\t}\n\t\t}\n\t}\n}\n")
	cfg, err := Load(file, map[string]string{"TOKEN": "hunter2", "SALLYPORT_POLICIES": "/p"})
	if err != nil {
		t.Fatal(err)
	}
	s := cfg.Servers["tickets"]
	if s == nil || s.URL != "https://tickets.example/mcp" || s.Headers["Authorization"] != "Bearer hunter2" {
		t.Errorf("server %+v", s)
	}
	_, err = Load(file, nil)
	if want := file + ":7: mcpServers.tickets.headers.Authorization: the environment has no TOKEN; set it, or write ${TOKEN:-default}"; err == nil || err.Error() != want {
		t.Errorf("without TOKEN: %v\nwant %s", err, want)
	}
}

func TestShowMasksSecretsAndIsAConfigurationAgain(t *testing.T) {
	file := write(t, "sallyport.yaml", "mcpServers:\n  a:\n    url: https://a.example/mcp?key=hunter2\n    headers: {X-Api-Key: hunter2}\n")
	cfg, err := Load(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := cfg.Show()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"hunter2"} {
		if strings.Contains(string(shown), text) {
			t.Errorf("shown:\n%s", shown)
		}
	}
	for _, want := range []string{"requestBytes: 4MiB", "callTimeout: 1m", "X-Api-Key: (masked)", "https://a.example/mcp?(masked)"} {
		if !strings.Contains(string(shown), want) {
			t.Errorf("lacks %s:\n%s", want, shown)
		}
	}
	if cfg.Servers["a"].Headers["X-Api-Key"] != "hunter2" {
		t.Error("masking changed the configuration itself")
	}
	if _, err := Load(write(t, "again.yaml", string(shown)), nil); err != nil {
		t.Errorf("what is shown is refused: %v\n%s", err, shown)
	}
}

func TestLoopbackHasThreeSpellings(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "localhost:0", "[::1]:0", "127.8.9.1:0", "LOCALHOST:80"} {
		if _, err := Load(write(t, "s.yaml", minimal+"listen: \""+listen+"\"\n"), nil); err != nil {
			t.Errorf("%s: %v", listen, err)
		}
	}
	for _, listen := range []string{"0.0.0.0:1", "[::]:1", ":1", "10.0.0.1:1", "example.com:1", "localhost.example:1", "169.254.1.1:1"} {
		_, err := Load(write(t, "s.yaml", minimal+"publicURL: https://x\nlisten: \""+listen+"\"\n"), nil)
		var p Problems
		if !errors.As(err, &p) || !strings.Contains(p[0].What, "is not loopback and there is no TLS") {
			t.Errorf("%s: %v; want it refused", listen, err)
		}
		if _, err := Load(write(t, "s.yaml", minimal+"publicURL: https://x\nbehindTLS: true\nlisten: \""+listen+"\"\n"), nil); err != nil {
			t.Errorf("%s behind TLS: %v", listen, err)
		}
	}
}

func TestNotesNameMisspeltVariables(t *testing.T) {
	cfg, err := Load(write(t, "s.yaml", minimal+"enforce: false\n"), map[string]string{"SALLYPORT_POLICY": "/p", "SALLYPORT_SERVICE_HOST": "10.0.0.1", "SALLYPORT_GRANT": "g"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"enforce is false: policies decide and are recorded, and refuse nothing",
		"the environment has SALLYPORT_POLICY, which means nothing here; did you mean SALLYPORT_POLICIES?"}
	if diff := cmp.Diff(want, cfg.Notes()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSizesAndDurationsReadWhatTheyWrite(t *testing.T) {
	for _, s := range []string{"0", "1", "1000", "1KiB", "4MiB", "3GiB", "1025"} {
		var v Size
		if err := v.UnmarshalText([]byte(s)); err != nil || v.String() != s {
			t.Errorf("size %s → %s, %v", s, v, err)
		}
	}
	for _, s := range []string{"", "x", "-1", "4mb", "1.5MiB", "9223372036854775807GiB", "1 KiB"} {
		var v Size
		if err := v.UnmarshalText([]byte(s)); err == nil {
			t.Errorf("size %q → %s; want it refused", s, v)
		}
	}
	for in, want := range map[string]string{"60s": "1m", "1h": "1h", "90m": "1h30m", "1500ms": "1.5s", "0s": "0s", "10s": "10s", "20m": "20m"} {
		var v Duration
		if err := v.UnmarshalText([]byte(in)); err != nil || v.String() != want {
			t.Errorf("duration %s → %s, %v; want %s", in, v, err, want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(minimal)
	f.Add("listen: [1]\nx: &a 1\ny: *a\n<<: {}\n")
	f.Add("{\"mcpServers\":{\"a\":{\"type\":\"sse\"},\"a\":null}}")
	f.Fuzz(func(t *testing.T, text string) {
		p := newProblems("f")
		d := &decoder{problems: p}
		cfg := &Config{}
		d.decode([]byte(text), cfg)
		cfg.check(p)
		if err := p.err(); err != nil && err.Error() == "" {
			t.Error("an error without words")
		}
	})
}
