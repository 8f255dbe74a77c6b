package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// policy is what the gateway decides with in the throughput group: the caller's role, the
// tool and an argument's value.
const policy = `package mcp.authz

import rego.v1

allow if {
	"reader" in input.subject.roles
	startswith(input.tool.name, "read_")
	startswith(input.arguments.path, "/srv/docs/")
}
`

var sizes = []struct {
	name  string
	bytes int
}{{"300B", 300}, {"10KB", 10 << 10}, {"1MB", 1 << 20}}

// throughput compares the four ways to one server for three sizes of call and reply.
func (b *bench) throughput(ctx context.Context) error {
	defer b.end()
	for _, size := range sizes {
		if !b.wants(size.name) {
			continue
		}
		targets, err := b.fourWays(ctx, size.bytes)
		if err != nil {
			return err
		}
		samples, err := b.compare(ctx, targets)
		if err != nil {
			return err
		}
		b.report.throughput(size.name, targets, samples)
		if err := b.profiled(ctx, size.name, targets[len(targets)-1]); err != nil {
			return err
		}
		b.end()
	}
	return nil
}

// wants says that a size of call is to be measured.
func (b *bench) wants(size string) bool { return slices.Contains(strings.Split(b.sizesOf, ","), size) }

// fourWays starts one server and the three programs before it: nothing, the two proxies, the gateway, and
// whatever stands beside them by -beside. All get the same calls.
func (b *bench) fourWays(ctx context.Context, size int) ([]target, error) {
	var args []string
	if b.upstream != "" {
		args = append(args, "-listen", b.upstream)
	}
	up, err := b.own(ctx, fmt.Sprintf("upstream-%d", size), append([]string{"upstream"}, args...)...)
	if err != nil {
		return nil, err
	}
	plain, err := b.own(ctx, fmt.Sprintf("reverseproxy-%d", size), "reverseproxy", "-to", up.addr)
	if err != nil {
		return nil, err
	}
	policies, err := b.policies("throughput-policies", map[string]string{"authz.rego": policy + rulesBeside(200)})
	if err != nil {
		return nil, err
	}
	gate, err := b.gatewayUp(ctx, "sallyport", up.addr, policies)
	if err != nil {
		return nil, err
	}
	through := func(name string, p *process) target {
		path := "/mcp"
		if p == gate.process {
			path = benchPath
		}
		return target{name: name, proc: p, spec: func() (loadSpec, error) {
			token, err := gate.token(ctx, "reader")
			return loadSpec{Addr: p.addr, Want: size,
				Call: callSpec{Path: path, Host: p.addr, Token: token, Size: size, Tool: toolName(0)}}, err
		}}
	}
	targets := []target{through("direct", up), through("reverseproxy", plain)}
	if b.nginx != "" {
		nginx, err := b.nginxUp(ctx, up.addr)
		if err != nil {
			return nil, err
		}
		targets = append(targets, through("nginx", nginx))
	}
	if b.beside != "" {
		other, err := besideTarget(b.beside, size)
		if err != nil {
			return nil, err
		}
		targets = append(targets, other)
	}
	return append(targets, through("sallyport", gate.process)), nil
}

// besideTarget is a gateway that somebody else has started. What it uses of the processor is not known.
func besideTarget(flag string, size int) (target, error) {
	name, where, ok := strings.Cut(flag, "=")
	u, err := url.Parse(where)
	if !ok || name == "" || err != nil || u.Scheme != "http" || u.Host == "" {
		return target{}, fmt.Errorf("-beside %q: write NAME=http://HOST:PORT/PATH", flag)
	}
	return target{name: name, spec: func() (loadSpec, error) {
		return loadSpec{Addr: u.Host, Want: size, Call: callSpec{Path: u.Path, Host: u.Host, Token: os.Getenv("BENCH_BESIDE_TOKEN"), Size: size, Tool: toolName(0)}}, nil
	}}, nil
}

// rulesBeside are n rules for tools that are not called: what a policy of some size has besides.
func rulesBeside(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "\nallow if {\n\t\"role-%d\" in input.subject.roles\n\tinput.tool.name == \"other_%d\"\n}\n", i%20, i)
	}
	return text.String()
}

// policies writes a directory of policy files.
func (b *bench) policies(name string, files map[string]string) (string, error) {
	dir := filepath.Join(b.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	for file, text := range files {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	return dir, nil
}
