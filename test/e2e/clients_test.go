package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// allowTesters lets the role do anything with anything; what is under test is fidelity.
const allowTesters = `package mcp.authz

import rego.v1

allow if "tester" in input.subject.roles
`

// nodeProgram runs a program of the clients' package under its own Node, in a directory and a
// HOME of its own, and returns what it printed. A non-zero exit is not an error here.
func nodeProgram(t *testing.T, dir, program string, args ...string) (output string, code int) {
	t.Helper()
	bin := cached(t, "clients", "node_modules", ".bin")
	node := filepath.Join(bin, "node")
	if _, err := os.Stat(node); err != nil {
		node = "node" // of the system, where no package has one for it; the programs say if it is too old
	}
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, append([]string{filepath.Join(bin, program)}, args...)...)
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + dir, "PATH=" + bin + ":" + os.Getenv("PATH"), "NO_COLOR=1"}
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatalf("run %s: %v", program, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// era is one of the two ways to speak the protocol, as the clients name it.
type era struct {
	name      string // as the Inspector names it
	revision  string // as the conformance suite does
	stateless string // flag of the reference server
}

var eras = []era{
	{"legacy", "2025-11-25", "-stateless=false"},
	{"modern", "2026-07-28", "-stateless"},
}

// startEverything runs the reference server and returns its URL.
func startEverything(t *testing.T, e era) string {
	t.Helper()
	addr := freeAddress(t)
	cmd := exec.Command(cached(t, "bin", "everything-server-v1.8.0"), "-http="+addr, e.stateless)
	said := &logBuffer{}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGKILL)
		_ = cmd.Wait()
	})
	eventually(t, "the reference server listens", func() error {
		_, _, err := get("http://" + addr + "/mcp")
		return err
	})
	return "http://" + addr + "/mcp"
}

// startShim stands before the gateway for clients that cannot be told a token: it adds one and
// changes nothing else. Host and Origin are the gateway's where they were the shim's; any other
// is left, since the suite sends false ones on purpose.
func startShim(t *testing.T, g *gate, token string) string {
	t.Helper()
	addr := freeAddress(t)
	target := &url.URL{Scheme: "http", Host: g.addr}
	srv := &http.Server{Addr: addr, Handler: &httputil.ReverseProxy{
		FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
			if sameHost(r.In.Host, addr) {
				r.Out.Host = g.addr
			}
			if origin := r.In.Header.Get("Origin"); origin != "" && sameHost(strings.TrimPrefix(origin, "http://"), addr) {
				r.Out.Header.Set("Origin", "http://"+g.addr)
			}
			r.Out.Header.Set("Authorization", "Bearer "+token)
		},
	}}
	failed := make(chan error, 1)
	go func() { failed <- srv.ListenAndServe() }()
	t.Cleanup(func() { _ = srv.Close() })
	eventually(t, "the shim listens", func() error {
		select {
		case err := <-failed:
			return fmt.Errorf("shim: %w", err)
		default:
		}
		_, _, err := get("http://" + addr + "/")
		return err
	})
	return "http://" + addr + g.endpoint
}

// sameHost compares authorities, taking the names of the loopback for one.
func sameHost(a, b string) bool {
	loopback := strings.NewReplacer("localhost", "127.0.0.1", "[::1]", "127.0.0.1")
	return loopback.Replace(a) == loopback.Replace(b)
}
