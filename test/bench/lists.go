package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// A policy for many tools: what each role may use stands in data, as an operator with that
// many would keep it.
const grantsPolicy = `package mcp.authz

import rego.v1

allow if {
	some role in input.subject.roles
	data.grants[role][input.tool.name]
	startswith(input.arguments.path, "/srv/docs/")
}
`

// lists compares the filtered list of 1,000 tools with serving the same bytes from a file.
func (b *bench) lists(ctx context.Context) error {
	defer b.end()
	const tools = 1000
	up, err := b.own(ctx, "upstream-1000", "upstream", "-tools", fmt.Sprint(tools))
	if err != nil {
		return err
	}
	// The caller may use every tool but one, so the list is filtered and nearly whole.
	policies, err := b.policies("lists-policies", map[string]string{"authz.rego": grantsPolicy, "data.json": grants(1, tools-1)})
	if err != nil {
		return err
	}
	gate, err := b.gatewayUp(ctx, "sallyport-lists", up.addr, policies)
	if err != nil {
		return err
	}
	token, err := gate.token(ctx, "role-0")
	if err != nil {
		return err
	}
	call := callSpec{Path: benchPath, Host: gate.addr, Token: token}
	body, err := once(gate.addr, call)
	if err != nil {
		return err
	}
	file := filepath.Join(b.dir, "tools.json")
	if err := os.WriteFile(file, body, 0o600); err != nil {
		return err
	}
	files, err := b.own(ctx, "fileserver", "fileserver", "-file", file)
	if err != nil {
		return err
	}
	targets := []target{
		{name: "file", proc: files, spec: func() (loadSpec, error) {
			return loadSpec{Addr: files.addr, Want: len(body), AnyID: true, Call: call}, nil
		}},
		{name: "sallyport", proc: gate.process, spec: func() (loadSpec, error) {
			return loadSpec{Addr: gate.addr, Want: len(body), Call: call}, nil
		}},
	}
	samples, err := b.compare(ctx, targets)
	if err != nil {
		return err
	}
	b.report.lists(tools, len(body), targets, samples)
	return nil
}

// once makes one call and returns the reply.
func once(addr string, call callSpec) ([]byte, error) {
	r, err := render(call)
	if err != nil {
		return nil, err
	}
	c := caller{addr: addr}
	defer c.close()
	status, body, err := c.call(r.bytes)
	if err != nil {
		return nil, err
	}
	return body, checkReply(r, loadSpec{}, status, body)
}
