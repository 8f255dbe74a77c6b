package config

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"sallyport/identity/grant"
)

func TestMetricsTellOfReloadsServersCachesAndRevocations(t *testing.T) {
	server := newFakeServer(t)
	i := install(t, server.URL)
	i.write("sallyport.yaml", "mcpServers:\n  a:\n    url: "+server.URL+"\n  gone:\n    url: http://127.0.0.1:1/mcp\n")
	i.open()
	i.follow(ways["polling"])
	for range 2 {
		if got := i.call("/mcp/a", "read"); got != "done" {
			t.Fatalf("read → %s; want done", got)
		}
	}
	if got := i.call("/mcp/a", "write"); got != "Unknown tool: write" {
		t.Fatalf("write → %s; want it hidden", got)
	}
	want := func(metrics map[string]string) {
		t.Helper()
		for name, value := range metrics {
			eventually(t, name+" "+value+", not "+i.metric(name), func() bool { return i.metric(name) == value })
		}
	}
	// One file that is written can be seen twice by the watcher, empty and whole, and then it is read twice.
	grown := func(name string, from int) {
		t.Helper()
		eventually(t, fmt.Sprintf("%s more than %d, not %s", name, from, i.metric(name)), func() bool {
			n, err := strconv.Atoi(i.metric(name))
			return err == nil && n > from
		})
	}
	want(map[string]string{
		"sallyport_ready": "1", "sallyport_stale": "0", "sallyport_audit_healthy": "1", "sallyport_audit_waiting": "0", "sallyport_grants_live": "1",
		`sallyport_server_up{server="a"}`: "1", `sallyport_server_up{server="gone"}`: "0",
		`sallyport_cache_misses_total{cache="token"}`: "1", `sallyport_cache_hits_total{cache="token"}`: "2",
		`sallyport_policy_info{revision="` + i.revision() + `"}`:                                       "1",
		"sallyport_reloads_failed_total":                                                               "0",
		"sallyport_revocations_total":                                                                  "0",
		`sallyport_requests_total{code="ok",decision="allow",method="tools/call",server="a"}`:          "2",
		`sallyport_requests_total{code="unknown_tool",decision="deny",method="tools/call",server="a"}`: "1",
		`sallyport_upstream_duration_seconds_count{server="a"}`:                                        "2",
		`sallyport_request_duration_seconds_count{method="tools/call",server="a"}`:                     "3",
	})
	i.write("policies/authz.rego", "package mcp.authz\n\nallow if {\n")
	want(map[string]string{"sallyport_stale": "1", "sallyport_ready": "1"})
	grown("sallyport_reloads_failed_total", 0)
	i.write("policies/authz.rego", strings.ReplaceAll(readers, `"read"`, `"write"`))
	want(map[string]string{"sallyport_stale": "0"})
	grown("sallyport_reloads_total", 1)

	if _, err := i.grants.Revoke(context.Background(), grant.Filter{All: true}, grant.Revoked, "tester", "test"); err != nil {
		t.Fatal(err)
	}
	want(map[string]string{"sallyport_grants_live": "0", "sallyport_revocations_total": "1"})
	if i.metric("sallyport_revocation_time_seconds_total") == "0" {
		t.Error("a grant ended in no time at all, so it was not measured")
	}
	if got := i.call("/mcp/a", "write"); !strings.HasPrefix(got, "401") {
		t.Errorf("after the revocation: %s; want 401", got)
	}
	want(map[string]string{`sallyport_requests_total{code="unauthenticated",decision="deny",method="",server=""}`: "1"})
}

func TestWhatCannotBeSentIsRefusedAtStart(t *testing.T) {
	i := install(t, newFakeServer(t).URL)
	i.environ = map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
	cfg, err := Load(i.dir+"/sallyport.yaml", i.environ)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), cfg, nil)
	if err == nil || !strings.Contains(err.Error(), "OTEL_EXPORTER_OTLP_PROTOCOL is \"grpc\": this gateway speaks http/protobuf alone") {
		t.Errorf("opened with %v: %v; want it refused by name", i.environ, err)
	}
}
