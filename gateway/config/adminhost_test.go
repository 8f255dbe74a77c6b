package config

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// A page that makes a browser resolve its own name to this machine reads nothing of the operator's; who
// scrapes a listener that the network reaches calls it as he likes.
func TestTheOperatorsListenerAnswersNoRebinding(t *testing.T) {
	for listen, want := range map[string]map[[2]string]int{
		"127.0.0.1:8081": {
			{"127.0.0.1:8081", ""}: 200, {"localhost:8081", ""}: 200, {"LOCALHOST", ""}: 200, {"[::1]:8081", ""}: 200, {"[::1]", ""}: 200, {"127.0.0.1:9", ""}: 200,
			{"evil.example", ""}: 421, {"evil.example:8081", ""}: 421, {"localhost.evil.example:8081", ""}: 421, {"127.0.0.1.evil.example", ""}: 421, {"", ""}: 421,
			{"localhost:8081", "http://localhost:3000"}: 200, {"localhost:8081", "https://evil.example"}: 403, {"localhost:8081", "null"}: 403,
		},
		"localhost:8081": {{"localhost:8081", ""}: 200, {"evil.example:8081", ""}: 421},
		"[::1]:8081":     {{"[::1]:8081", ""}: 200, {"evil.example:8081", ""}: 421},
		"0.0.0.0:8081":   {{"10.0.0.7:8081", ""}: 200, {"sallyport.agents.svc:8081", ""}: 200},
		":8081":          {{"10.0.0.7:8081", ""}: 200},
	} {
		i := install(t, newFakeServer(t).URL)
		i.environ = map[string]string{"SALLYPORT_ADMIN_LISTEN": listen}
		i.open()
		for from, status := range want {
			for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
				r := httptest.NewRequest(http.MethodGet, path, nil)
				r.Host = from[0]
				if from[1] != "" {
					r.Header.Set("Origin", from[1])
				}
				w := httptest.NewRecorder()
				i.AdminHandler().ServeHTTP(w, r)
				if got := w.Code; got != status && (path != "/readyz" || status != 200 || got != 503) {
					t.Errorf("at %s: Host %q, Origin %q: %s → %d; want %d", listen, from[0], from[1], path, got, status)
				}
			}
		}
	}
}
