package config

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// metric is the value of a metric, or "".
func (i *installation) metric(name string) string {
	w := httptest.NewRecorder()
	i.AdminHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8081/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func TestAShadowPolicyIsFollowedAndStopsNothing(t *testing.T) {
	const refused = `sallyport_shadow_differences_total{kind="newly_refused"}`
	i := install(t, newFakeServer(t).URL)
	config, err := os.ReadFile(filepath.Join(i.dir, "sallyport.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	i.write("sallyport.yaml", string(config)+"shadow: ./next\n")
	i.write("next/authz.rego", "package mcp.authz\n\nallow if {\n")
	i.open()
	i.follow(ways["polling"])
	for _, tt := range []struct {
		policy, ready string
		loaded        string
	}{
		{"", "the newest shadow policies are not asked: shadow policies in " + filepath.Join(i.dir, "next") + ": authz.rego:", "0"},
		{strings.ReplaceAll(readers, `"read"`, `"write"`), "", "1"},
		{"package mcp.authz\n\nallow := \"yes\"\n", "authz.rego:3: `allow` must be true or false", "1"}, // the one before is asked on
	} {
		if tt.policy != "" {
			i.write("next/authz.rego", tt.policy)
		}
		eventually(t, "readiness tells of the shadow policy: "+tt.ready, func() bool {
			_, text := i.readyz()
			return i.metric("sallyport_shadow_policy") == tt.loaded && (text == "ready\n" && tt.ready == "" || tt.ready != "" && strings.Contains(text, tt.ready))
		})
		before := i.metric(refused)
		if got := i.call("/mcp/a", "read"); got != "done" {
			t.Errorf("with %q: read → %s; want done", tt.policy, got)
		}
		if tt.loaded == "1" {
			eventually(t, "the difference is counted", func() bool { return i.metric(refused) != before })
		}
	}
	if got := i.metric("sallyport_enforce"); got != "1" {
		t.Errorf("sallyport_enforce %s; want 1", got)
	}
	if err := os.RemoveAll(filepath.Join(i.dir, "next")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is told that the directory is gone", func() bool { _, text := i.readyz(); return strings.Contains(text, "no such file") })
	if got := i.call("/mcp/a", "read"); got != "done" {
		t.Errorf("without the directory: read → %s; want done", got)
	}
	_, err = Load(write(t, "sallyport.yaml", minimal+"policies: ./p\nshadow: ./p\n"), nil)
	if err == nil || !strings.HasSuffix(err.Error(), "shadow: is the directory of policies; copy it, and change the copy") {
		t.Errorf("the same directory twice: %v", err)
	}
}
