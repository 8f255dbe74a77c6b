package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var observeFiles = filepath.Join("..", "..", "examples", "deploy", "observe")

// prometheus is a running one, which reads a gateway's metrics and the rules of the examples.
type prometheus struct{ address string }

func startPrometheus(t *testing.T, target string) *prometheus {
	t.Helper()
	program, dir := cached(t, "prometheus", "usr", "bin", "prometheus"), t.TempDir()
	rules, err := filepath.Abs(filepath.Join(observeFiles, "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	p, config := &prometheus{freeAddress(t)}, filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%q]\nscrape_configs: [{job_name: sallyport, static_configs: [{targets: [%q]}]}]\n", rules, target)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	said := &logBuffer{}
	runBeside(t, said, program, "--config.file", config, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", p.address)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("prometheus said:\n%s", said.String())
		}
	})
	return p
}

// query asks, and returns how many series there are.
func (p *prometheus) query(expr string) (int, error) {
	status, body, err := get("http://" + p.address + "/api/v1/query?" + url.Values{"query": {expr}}.Encode())
	if err != nil {
		return 0, err
	}
	var answer struct {
		Error string
		Data  struct{ Result []json.RawMessage }
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusOK {
		return 0, fmt.Errorf("%s: %d %s%s", expr, status, answer.Error, body)
	}
	return len(answer.Data.Result), nil
}

// metricNames are those of expr that the gateway has to export.
func metricNames(expr string) []string {
	return regexp.MustCompile(`\b(?:sallyport|process|go)_[a-z_]+`).FindAllString(regexp.MustCompile(`"[^"]*"`).ReplaceAllString(expr, ""), -1)
}

// dashboard is the example's, as far as its queries go.
func dashboardQueries(t *testing.T) (exprs []string) {
	t.Helper()
	var d struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	text, err := os.ReadFile(filepath.Join(observeFiles, "dashboard.json"))
	if err == nil {
		err = json.Unmarshal(text, &d)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, panel := range d.Panels {
		if panel.Title == "" || len(panel.Targets) == 0 {
			t.Errorf("panel %q asks for nothing", panel.Title)
		}
		for _, target := range panel.Targets {
			exprs = append(exprs, strings.NewReplacer("$instance", ".*", "$__rate_interval", "1m").Replace(target.Expr))
		}
	}
	if len(exprs) < 20 {
		t.Fatalf("%d queries were found in the dashboard", len(exprs))
	}
	return exprs
}

// A Prometheus of Debian's reads the page and the rules; each query of the dashboard is one, and each
// metric that a query or a rule names is there.
func TestObservePrometheusReadsMetricsRulesAndDashboard(t *testing.T) {
	rec := newRecorder(t)
	g := startGate(t, setup{policies: map[string]string{"authz.rego": observePolicy}, servers: map[string]string{"files": rec.url}})
	token := g.callEverything(t, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	p := startPrometheus(t, g.admin)
	eventually(t, "prometheus has read the page", func() error {
		if n, err := p.query(`up == 1`); err != nil || n != 1 {
			return fmt.Errorf("up: %d series, %w", n, errors.Join(err, errMissing("up")))
		}
		return nil
	})
	_, page, err := get("http://" + g.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{marker, token} {
		if strings.Contains(page, secret) {
			t.Errorf("%.12s… is on the page", secret)
		}
	}
	rules, err := os.ReadFile(filepath.Join(observeFiles, "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	exprs := dashboardQueries(t)
	for _, expr := range exprs {
		if _, err := p.query(expr); err != nil {
			t.Errorf("of the dashboard: %v", err)
		}
	}
	for _, name := range metricNames(strings.Join(append(exprs, string(rules)), "\n")) {
		// A difference has no series before there is one; its name is in the metadata from the start.
		if !strings.Contains(page, "\n"+name) {
			t.Errorf("%s is asked for and is not on the page", name)
		}
	}
	for _, want := range []string{
		`sallyport_requests_total{code="ok",decision="allow",method="tools/call",server="files"} == 1`,
		`sallyport_requests_total{code="denied",decision="deny",method="tools/call",server="files"} == 1`,
		`sallyport_requests_total{code="unauthenticated",decision="",method="",server=""} == 1`,
		`sallyport_tool_calls_total{code="ok",server="files",tool="read_file"} == 1`,
		`sallyport_server_up{server="files"} == 1`, `sallyport_ready == 1`, `sallyport_enforce == 1`, `sallyport_stale == 0`,
		`sallyport_step_duration_seconds_count{step="authorize"} >= 1`, `sallyport_audit_syncs_total > 0`, `sallyport_grants_live >= 1`, `process_open_fds > 0`,
	} {
		eventually(t, want, func() error { // it reads the page once a second
			if n, err := p.query(want); err != nil || n != 1 {
				return fmt.Errorf("%d series, %v; want 1", n, err)
			}
			return nil
		})
	}
	eventually(t, "the rules are evaluated", func() error { return p.rulesHealthy() })
}

// rulesHealthy says which rule Prometheus could not evaluate.
func (p *prometheus) rulesHealthy() error {
	_, body, err := get("http://" + p.address + "/api/v1/rules")
	if err != nil {
		return err
	}
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError, State string }
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return err
	}
	if len(answer.Data.Groups) != 1 {
		return fmt.Errorf("%d groups of rules", len(answer.Data.Groups))
	}
	for _, r := range answer.Data.Groups[0].Rules {
		if r.Health != "ok" || r.State == "firing" {
			return fmt.Errorf("%s: %s, %s %s", r.Name, r.Health, r.State, r.LastError)
		}
	}
	return nil
}

// The rules fire when they should, and stay silent beside it: promtool plays a case for each.
func TestObserveAlertsFire(t *testing.T) {
	promtool := cached(t, "prometheus", "usr", "bin", "promtool")
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = observeFiles
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	rules, err := os.ReadFile(filepath.Join(observeFiles, "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile(filepath.Join(observeFiles, "alerts_test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(string(rules), -1) {
		if fires := "alertname: " + m[1] + ", exp_alerts: [{"; !strings.Contains(string(tests), fires) {
			t.Errorf("no case of alerts_test.yaml has %s fire", m[1])
		}
		if silent := "alertname: " + m[1] + "}"; !strings.Contains(string(tests), silent) {
			t.Errorf("no case of alerts_test.yaml has %s stay silent", m[1])
		}
	}
}

// docs/observe.md names each metric that the page has, and none besides.
func TestObserveDocsNameEachMetric(t *testing.T) {
	rec := newRecorder(t)
	g := startGate(t, setup{policies: map[string]string{"authz.rego": observePolicy}, servers: map[string]string{"files": rec.url}})
	g.callEverything(t, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	_, page, err := get("http://" + g.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	docs, err := os.ReadFile(filepath.Join("..", "..", "docs", "observe.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(sallyport_[a-z_]+)` \\| (\\w+) \\|").FindAllStringSubmatch(string(docs), -1) {
		rows[m[1]] = m[2]
	}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (sallyport_\w+) (\w+)$`).FindAllStringSubmatch(page, -1) {
		if rows[m[1]] != m[2] {
			t.Errorf("docs/observe.md: %s is %q; want %s", m[1], rows[m[1]], m[2])
		}
		delete(rows, m[1])
	}
	for name := range rows {
		t.Errorf("docs/observe.md names %s, which is not on the page", name)
	}
}
