package gateway

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

// scrub takes the gateway's own secrets out of what the server has said.
func (s *Server) scrub(doc []byte) ([]byte, int) {
	if can, ok := s.Upstream.(Scrubber); ok {
		return can.Scrub(doc)
	}
	return doc, 0
}

// scrub takes them out of one message on its way to the client, before it is read. What is no
// sound JSON after that is refused as it would have been before.
func (r *relay) scrub(raw []byte) []byte {
	clean, n := r.call.server.scrub(raw)
	if n == 0 {
		return raw
	}
	if r.redacted == 0 {
		r.g.log.Warn("server answered with the gateway's own credential; it was taken out", slog.String("id", r.rec.ID),
			slog.String("server", r.call.server.Name), slog.String("tool", r.rec.Tool))
	}
	r.redacted += n
	return clean
}

// redaction says in the record that something was taken out.
func (x *exchange) redaction(detail string) string {
	var room [4]string
	parts := append(room[:0], detail)
	if x.redacted > 0 {
		parts = append(parts, fmt.Sprintf("the gateway's own credential was in the answer and was taken out (%d times)", x.redacted))
	}
	parts = append(parts, x.reports.String())
	if x.withheld != nil {
		parts = append(parts, "would be withheld: "+x.withheld.Error())
	}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "; ")
}

// clean takes secrets out of the operator's reason for a refusal, which may hold words of the
// server.
func (x *exchange) clean(detail string) string {
	server := x.snap.Servers[x.rec.Server]
	if server == nil || detail == "" {
		return detail
	}
	out, _ := server.scrub([]byte(detail))
	return string(out)
}
