package config

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// TestReloadsWhileScrapedAndCalled installs policy after policy, and configurations in which a server comes
// and goes, while calls run and /metrics and /readyz are read. Run with the race detector it shows that what
// a reload changes is not read meanwhile; without it, that nothing fails.
func TestReloadsWhileScrapedAndCalled(t *testing.T) {
	server := newFakeServer(t)
	i := install(t, server.URL)
	i.open()
	i.follow(ways["polling"])
	ctx, stop := context.WithCancel(t.Context())
	var busy sync.WaitGroup
	beside := func(one func()) {
		busy.Go(func() {
			for ctx.Err() == nil {
				one()
			}
		})
	}
	for range 2 {
		beside(func() {
			if got := i.call("/mcp/a", "read"); got != "done" {
				t.Errorf("read → %s; want done", got)
			}
		})
		beside(func() {
			for path, want := range map[string]string{"/metrics": "sallyport_policy_info{", "/readyz": "ready"} {
				w := httptest.NewRecorder()
				i.AdminHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8081"+path, nil))
				if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
					t.Errorf("%s: %d %s", path, w.Code, w.Body)
				}
			}
		})
	}
	defer busy.Wait()
	defer stop()
	// The watcher is waited for each time, so that no change is taken with the next.
	for n := range 5 {
		before := i.revision()
		i.write("policies/authz.rego", fmt.Sprintf("%s\n# %d\n", readers, n))
		eventually(t, "the new policy is installed", func() bool { return i.revision() != before })
		config, up := "mcpServers:\n  a:\n    url: "+server.URL+"\n", "" // of b: no such series
		if n%2 == 0 {
			config, up = config+"  b:\n    url: "+server.URL+"\n", "1"
		}
		i.write("sallyport.yaml", config)
		eventually(t, "the new server is known, or the old one forgotten", func() bool { return i.metric(`sallyport_server_up{server="b"}`) == up })
	}
}
