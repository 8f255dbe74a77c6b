package config

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// health is what the operator's listener knows.
type health struct {
	mu      sync.Mutex // guards all below
	reason  string     // why not ready; "" when ready
	stale   error      // why the newest inputs are not installed
	bundle  error      // why the URL of the policies has brought nothing
	restart []string   // keys whose change waits for a restart
	shadow  error      // why the newest shadow policies are not asked
}

func (h *health) set(reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reason = reason
}

func (h *health) setStale(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stale = err
}

func (h *health) setBundle(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bundle = err
}

// setRestart notes the keys whose change waits for a restart; nil for none.
func (h *health) setRestart(keys []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.restart = keys
}

func (h *health) setShadow(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.shadow = err
}

func (h *health) shadowErr() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.shadow
}

func (h *health) get() (reason string, restart []string, stale error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.reason, h.restart, errors.Join(h.stale, h.bundle)
}

// Ready reports whether requests can be decided, and what an operator should know: why not, or
// what is wrong all the same. Ready with an old policy is ready: taking the gateway away would
// turn a typing mistake into an outage.
func (s *Service) Ready() (ready bool, lines []string) {
	reason, restart, stale := s.health.get()
	if err := s.recorder.Healthy(); err != nil && reason == "" {
		reason = "the audit log cannot be written, so every call is refused: " + err.Error()
	}
	if err := s.grants.Healthy(); err != nil && reason == "" {
		reason = "every call is refused: " + err.Error()
	}
	ready = reason == ""
	if !ready {
		lines = append(lines, reason)
	}
	if stale != nil {
		lines = append(lines, "the newest configuration or policy is not installed, the one before serves on: "+oneLine(stale))
	}
	if err := s.health.shadowErr(); err != nil {
		lines = append(lines, "the newest shadow policies are not asked: "+err.Error())
	}
	if len(restart) > 0 {
		lines = append(lines, "changed, and taken at the next start only: "+strings.Join(restart, ", "))
	}
	if !s.mu.TryLock() {
		return ready, lines // a reload is under way; what it finds is told next time
	}
	defer s.mu.Unlock()
	if s.current == nil {
		return ready, lines
	}
	for _, name := range slices.Sorted(maps.Keys(s.current.servers)) {
		if err := s.current.servers[name].server.Err(); err != nil {
			lines = append(lines, fmt.Sprintf("server %s is unavailable: %s", name, oneLine(err)))
		}
	}
	return ready, lines
}

// AdminHandler serves /healthz, /readyz and /metrics and nothing else, and where admin.listen is a
// loopback address to no other host name.
func (s *Service) AdminHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status := s.adminRefuses(r); status != 0 {
			http.Error(w, "here only loopback names are answered, and no page from elsewhere", status)
			return
		}
		if r.URL.Path != "/healthz" && r.URL.Path != "/readyz" && r.URL.Path != "/metrics" {
			http.Error(w, "404: here are /healthz, /readyz and /metrics", http.StatusNotFound)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "405: this page can only be read (GET)", http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		if r.URL.Path == "/healthz" {
			_, _ = w.Write([]byte("ok\n")) // an error means that the client has gone
			return
		}
		if r.URL.Path == "/metrics" {
			w.Header().Del("Content-Type")
			s.telemetry.Page().ServeHTTP(w, r)
			return
		}
		ready, lines := s.Ready()
		first := "ready"
		if !ready {
			first = "not ready"
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write([]byte(strings.Join(append([]string{first}, lines...), "\n") + "\n")) // likewise
	})
}

// oneLine says joined errors once each.
func oneLine(err error) string {
	var said []string
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimSpace(line)
		if !slices.ContainsFunc(said, func(s string) bool { return strings.HasSuffix(s, line) }) {
			said = append(said, line)
		}
	}
	return strings.Join(said, "; ")
}
