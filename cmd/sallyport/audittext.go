package main

import (
	"fmt"
	"strings"
	"time"

	"sallyport/gateway/audit"
	"sallyport/gateway/audit/reader"
)

// what is what was asked for: a tool, or the method and the server it was sent to.
func what(r *audit.Record) string {
	switch {
	case r.Tool != "" && r.Method == "tools/call":
		return r.Server + "." + r.Tool
	case r.Tool != "":
		return r.Method + " " + r.Server + "." + r.Tool
	case r.Server != "":
		return r.Method + " " + r.Server
	}
	return r.Method
}

// why is the reason to tell, the policy's before the operator's.
func why(r *audit.Record) string {
	if len(r.Reasons) > 0 && r.Decision != "allow" {
		return strings.Join(r.Reasons, "; ")
	}
	if advisedAgainst(r) {
		return strings.Join(r.Advisory.Reasons, "; ")
	}
	if r.Phase == audit.PhaseSummary {
		return fmt.Sprintf("%d times: %s", r.Count, r.Detail)
	}
	return r.Detail
}

// advisedAgainst reports whether nothing but rules that are not enforced would have refused it. What
// record-only lets through has reasons of its own.
func advisedAgainst(r *audit.Record) bool {
	return r.Decision == "would_deny" && len(r.Reasons) == 0 && r.Advisory != nil
}

// lineText is one record on one line.
func lineText(e reader.Entry) string {
	r := &e.Record
	parts := []string{r.Time.UTC().Format(time.RFC3339), orDash(r.ID), orDash(r.Phase), orDash(r.Subject), orDash(what(r)), orDash(r.Decision), orDash(r.Code)}
	if w := why(r); w != "" {
		parts = append(parts, plain(w))
	}
	if len(e.Newer) > 0 {
		parts = append(parts, "(made by a newer version)")
	}
	return strings.Join(parts, "  ")
}
