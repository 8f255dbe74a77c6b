package main

import (
	"context"
	"os"
	"path/filepath"
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
	up, err := b.own(ctx, "upstream", "upstream")
	if err != nil {
		return err
	}
	plain, err := b.own(ctx, "reverseproxy", "reverseproxy", "-to", up.addr)
	if err != nil {
		return err
	}
	policies, err := b.policies("throughput-policies", map[string]string{"authz.rego": policy})
	if err != nil {
		return err
	}
	gate, err := b.gatewayUp(ctx, "sallyport", up.addr, policies)
	if err != nil {
		return err
	}
	var nginx *process
	if b.nginx != "" {
		if nginx, err = b.nginxUp(ctx, up.addr); err != nil {
			return err
		}
	}
	for _, size := range sizes {
		through := func(name string, p *process) target {
			path := "/mcp"
			if p == gate.process {
				path = benchPath
			}
			return target{name: name, proc: p, spec: func() (loadSpec, error) {
				token, err := gate.token(ctx, "reader")
				return loadSpec{Addr: p.addr, Want: size.bytes,
					Call: callSpec{Path: path, Host: p.addr, Token: token, Size: size.bytes, Tool: toolName(0)}}, err
			}}
		}
		targets := []target{through("direct", up), through("reverseproxy", plain)}
		if nginx != nil {
			targets = append(targets, through("nginx", nginx))
		}
		targets = append(targets, through("sallyport", gate.process))
		samples, err := b.compare(ctx, targets)
		if err != nil {
			return err
		}
		b.report.throughput(size.name, targets, samples)
	}
	return nil
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
