package main

import (
	"bytes"
	"context"
	"fmt"
)

// rules asks whether a large policy costs more to ask than a small one: 20 rules for 20 tools,
// 1,000 rules for 1,000 tools, and 1,000 tools for each of 100 roles. Once with the same
// arguments in every call, so that decisions may come from a cache, and once with others in
// every call, so that none can.
func (b *bench) rules(ctx context.Context) error {
	defer b.end()
	sizes := []struct {
		name  string
		tools int
		files map[string]string
	}{
		{"20 rules", 20, map[string]string{"authz.rego": rulesPolicy(20)}},
		{"1000 rules", 1000, map[string]string{"authz.rego": rulesPolicy(1000)}},
		{"1000 tools x 100 roles", 1000, map[string]string{"authz.rego": grantsPolicy, "data.json": grants(100, 1000)}},
	}
	var targets []target
	for i, size := range sizes {
		up, err := b.own(ctx, fmt.Sprintf("upstream-rules-%d", i), "upstream", "-tools", fmt.Sprint(size.tools))
		if err != nil {
			return err
		}
		policies, err := b.policies(fmt.Sprintf("rules-policies-%d", i), size.files)
		if err != nil {
			return err
		}
		gate, err := b.gatewayUp(ctx, fmt.Sprintf("sallyport-rules-%d", i), up.addr, policies)
		if err != nil {
			return err
		}
		for _, vary := range []bool{false, true} {
			name := size.name + ", cached"
			if vary {
				name = size.name + ", decided"
			}
			targets = append(targets, target{name: name, proc: gate.process, spec: func() (loadSpec, error) {
				token, err := gate.token(ctx, "role-0")
				return loadSpec{Addr: gate.addr, Want: 300,
					Call: callSpec{Path: benchPath, Host: gate.addr, Token: token, Size: 300, Tool: toolName(size.tools / 2), Vary: vary}}, err
			}})
		}
	}
	samples, err := b.compare(ctx, targets)
	if err != nil {
		return err
	}
	b.report.rules(targets, samples)
	return nil
}

// rulesPolicy has one rule for each tool.
func rulesPolicy(n int) string {
	var text bytes.Buffer
	text.WriteString("package mcp.authz\n\nimport rego.v1\n")
	for i := range n {
		fmt.Fprintf(&text, "\nallow if {\n\t\"role-0\" in input.subject.roles\n\tinput.tool.name == %q\n\tstartswith(input.arguments.path, \"/srv/docs/\")\n}\n", toolName(i))
	}
	return text.String()
}

// grants gives each role every tool.
func grants(roles, tools int) string {
	var text bytes.Buffer
	text.WriteString(`{"grants":{`)
	for r := range roles {
		if r > 0 {
			text.WriteByte(',')
		}
		fmt.Fprintf(&text, `"role-%d":{`, r)
		for i := range tools {
			if i > 0 {
				text.WriteByte(',')
			}
			fmt.Fprintf(&text, `%q:true`, toolName(i))
		}
		text.WriteByte('}')
	}
	text.WriteString(`}}`)
	return text.String()
}
