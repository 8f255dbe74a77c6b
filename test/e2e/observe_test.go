package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const observePolicy = `package mcp.authz

allow if {
	"reader" in input.subject.roles
	input.tool.name == "read_file"
	not startswith(input.arguments.path, "/etc")
}
`

// marker stands in everything that a client can fill, and must be in nothing that is shown.
const marker = "m4rk3r"

// callEverything sends one request of each kind, in the trace given, and returns the token it used.
func (g *gate) callEverything(t *testing.T, trace string) string {
	t.Helper()
	token := g.token(t, "reader", "--subject", "ann-"+marker)
	if r := g.modernCall(t, token, "read_file", `{"path":"/srv/`+marker+`"}`, "Traceparent", trace); r.isError() || r.Status != http.StatusOK {
		t.Fatalf("an allowed call: %d %s", r.Status, r.Raw)
	}
	if r := g.modernCall(t, token, "read_file", `{"path":"/etc/`+marker+`"}`); !r.isError() {
		t.Fatalf("a call that policy refuses: %d %s", r.Status, r.Raw)
	}
	g.modernCall(t, token, "read_file", `{"path":7,"`+marker+`":1}`)
	g.modernCall(t, token, marker, `{}`)
	g.modernCall(t, marker, "read_file", `{"path":"/srv/a"}`, "Traceparent", trace)
	g.modernList(t, token)
	return token
}

// collect runs OpenTelemetry's own collector. said is what it prints of what arrives, and sent the bytes
// that came to it.
func collect(t *testing.T) (endpoint string, said, sent *logBuffer) {
	t.Helper()
	program, address := cached(t, "bin", "collector"), freeAddress(t)
	config := filepath.Join(t.TempDir(), "collector.yaml")
	text := `receivers: {otlp: {protocols: {http: {endpoint: "` + address + `"}}}}
exporters: {debug: {verbosity: detailed, use_internal_logger: false}}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [otlp], exporters: [debug]}
    metrics: {receivers: [otlp], exporters: [debug]}
`
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	said, sent = &logBuffer{}, &logBuffer{}
	runBeside(t, said, program, "--config", config)
	eventually(t, "the collector listens", func() error {
		_, _, err := get("http://" + address + "/")
		return err
	})
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = sent.Write(body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	return front.URL, said, sent
}

// span is one as the collector prints it.
type span struct{ trace, parent, id, name, kind string }

var spanForm = regexp.MustCompile(`Trace ID +: (\w*)\n +Parent ID +: (\w*)\n +ID +: (\w+)\n +Name +: (.+)\n +Kind +: (\w+)\n`)

func spansOf(text string) (spans []span) {
	for _, m := range spanForm.FindAllStringSubmatch(text, -1) {
		spans = append(spans, span{m[1], m[2], m[3], m[4], m[5]})
	}
	return spans
}

func TestObserveCollectorGetsSpansAndMetrics(t *testing.T) {
	endpoint, said, sent := collect(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
	t.Setenv("OTEL_METRIC_EXPORT_INTERVAL", "500")
	rec := newRecorder(t)
	g := startGate(t, setup{policies: map[string]string{"authz.rego": observePolicy}, servers: map[string]string{"files": rec.url}})
	const trace, client = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	steps := strings.Fields("edge authenticate decode resolve check_input authorize audit forward check_output respond")
	token := g.callEverything(t, "00-"+trace+"-"+client+"-01")
	eventually(t, "the collector has it all", func() error {
		for _, want := range []string{"tools/list", "sallyport.step.duration", "sallyport.cache.hits"} {
			if !strings.Contains(said.String(), want) {
				return errMissing(want)
			}
		}
		n := 0 // one for the call and one for each step
		for _, s := range spansOf(said.String()) {
			if s.trace == trace {
				n++
			}
		}
		if n <= len(steps) {
			return fmt.Errorf("%d spans of the call", n)
		}
		return nil
	})
	var whole span
	children := map[string]int{}
	for _, s := range spansOf(said.String()) {
		if s.trace == trace && s.parent == client {
			if whole.id != "" {
				t.Errorf("a second span under the client's: %+v; a stranger wrote into its trace", s)
			}
			whole = s
		}
	}
	for _, s := range spansOf(said.String()) {
		if s.trace == trace && s.parent == whole.id {
			children[s.name]++
		}
	}
	if whole.name != "tools/call read_file" || whole.kind != "Server" {
		t.Errorf("under the client's span: %+v; want a server's tools/call read_file", whole)
	}
	for _, step := range steps {
		if children[step] != 1 {
			t.Errorf("%d spans of the step %s; want 1", children[step], step)
		}
	}
	calls := rec.seen()
	if want := "00-" + trace + "-" + whole.id + "-01"; len(calls) != 1 || calls[0].header.Get("Traceparent") != want {
		t.Errorf("the server got %d calls, in %q; want one in %q", len(calls), calls[0].header.Get("Traceparent"), want)
	}
	record, err := os.ReadFile(filepath.Join(g.state, "audit", "00000000000000000001.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if want := `"trace_id":"` + trace + `"`; !bytes.Contains(record, []byte(want)) {
		t.Errorf("the record has no %s", want)
	}
	for _, s := range spansOf(said.String()) {
		if s.name == "tools/call read_file" && s.id != whole.id {
			g.says(t, "trace_id="+s.trace+" span_id="+s.id) // of a refused call
		}
	}
	for _, secret := range []string{marker, token, strings.Split(token, ".")[2]} {
		if strings.Contains(sent.String(), secret) || strings.Contains(said.String(), secret) {
			t.Errorf("%.12s… was sent to the collector", secret)
		}
	}
	if !strings.Contains(sent.String(), "read_file") {
		t.Error("the bytes that were sent do not name the tool, so what they lack shows nothing")
	}
}

// A collector that is not there slows nothing down and refuses nothing.
func TestObserveCollectorThatIsGone(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+freeAddress(t))
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "200")
	rec := newRecorder(t)
	g := startGate(t, setup{policies: map[string]string{"authz.rego": observePolicy}, servers: map[string]string{"files": rec.url}})
	token := g.token(t, "reader")
	for range 20 {
		if r := g.modernCall(t, token, "read_file", `{"path":"/srv/a"}`); r.isError() || r.Status != http.StatusOK {
			t.Fatalf("%d %s", r.Status, r.Raw)
		}
	}
	g.says(t, "traces or metrics were not sent")
}

// runBeside runs a program until the test ends.
func runBeside(t *testing.T, out io.Writer, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

type errMissing string

func (e errMissing) Error() string { return "not there yet: " + string(e) }
