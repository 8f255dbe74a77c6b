package config

import (
	"net"
	"net/http"
	"net/url"
	"strings"
)

// adminRefuses is the status for a request that a page in a browser may have made, or 0. A page reaches
// a loopback address by a name of its own (DNS rebinding), and then sends that name as Host. At any other
// address scrapers and probes use whatever name they like, and the network says who they are.
func (s *Service) adminRefuses(r *http.Request) int {
	if !isLoopback(s.adminHost) {
		return 0
	}
	if host, _, err := net.SplitHostPort(r.Host); !isLoopback(r.Host) && (err != nil || !isLoopback(host)) {
		return http.StatusMisdirectedRequest
	}
	for _, origin := range r.Header["Origin"] {
		if u, err := url.Parse(strings.ToLower(origin)); err != nil || !isLoopback(u.Hostname()) {
			return http.StatusForbidden
		}
	}
	return 0
}
