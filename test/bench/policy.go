package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// workbenchRounds is how often each command of the group policy is timed.
const workbenchRounds = 15

// workbenchRules is how many rules its policy has.
const workbenchRules = 200

// timing is what one command took, in milliseconds: from its start to its end, and of the processor.
type timing struct{ wall, cpu float64 }

// policy compares the workbench with the engine's own program on the same directory, whole commands
// with their start: `policy check` with `opa check`, `policy explain` of a refusal with `opa eval`,
// and what a cell of `policy matrix` takes.
func (b *bench) policy(ctx context.Context) error {
	if b.opa == "" {
		fmt.Println("\npolicy: left out, for want of opa; `make bench` installs it, or set BENCH_OPA to its binary")
		return nil
	}
	dir, err := b.policies("workbench", map[string]string{"authz.rego": rulesPolicy(workbenchRules)})
	if err != nil {
		return err
	}
	input, err := b.workbenchInput()
	if err != nil {
		return err
	}
	tools, err := b.workbenchTools()
	if err != nil {
		return err
	}
	commands := []struct {
		name string
		exit int
		argv []string
	}{
		{"opa check", 0, []string{b.opa, "check", "--strict", dir}},
		{"policy check", 0, []string{b.binary, "policy", "check", dir}},
		{"opa eval", 0, []string{b.opa, "eval", "--strict", "-d", dir, "-i", input, "data.mcp.authz"}},
		{"policy explain", 3, []string{b.binary, "policy", "explain", "--policies", dir, "--input", input}},
		{"policy matrix", 0, []string{b.binary, "policy", "matrix", dir, "--role", "role-0", "--role", "role-1", "--tools", tools, "-o", "json"}},
	}
	taken := map[string][]timing{}
	for range workbenchRounds {
		for _, c := range commands {
			t, err := timed(ctx, c.exit, c.argv)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			taken[c.name] = append(taken[c.name], t)
		}
	}
	b.report.policy(taken)
	return nil
}

// timed runs a command once. Another exit code than the one that is wanted is an error.
func timed(ctx context.Context, exit int, argv []string) (timing, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	began := time.Now()
	err := cmd.Run()
	wall := time.Since(began)
	if failed, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || failed.ExitCode() != exit) || err == nil && exit != 0 {
		return timing{}, fmt.Errorf("%v; want exit code %d", err, exit)
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return timing{}, errors.New("no usage of the processor")
	}
	cpu := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	return timing{float64(wall.Microseconds()) / 1000, float64(cpu.Microseconds()) / 1000}, nil
}

// workbenchInput is a question that is refused for its argument.
func (b *bench) workbenchInput() (string, error) {
	doc := map[string]any{"subject": map[string]any{"id": "bench", "roles": []string{"role-0"}}, "action": "tools/call", "server": map[string]any{"name": "bench"},
		"tool": map[string]any{"name": toolName(workbenchRules / 2)}, "arguments": map[string]any{"path": "/etc/passwd"}}
	return b.jsonFile("workbench-input.json", doc)
}

// workbenchTools is a catalogue of a thousand tools.
func (b *bench) workbenchTools() (string, error) {
	tools := []map[string]any{}
	for i := range 1000 {
		tools = append(tools, map[string]any{"name": toolName(i)})
	}
	return b.jsonFile("workbench-tools.json", map[string]any{"bench": map[string]any{"tools": tools}})
}

func (b *bench) jsonFile(name string, doc any) (string, error) {
	raw, err := json.Marshal(doc)
	if err != nil {
		return "", err
	}
	path := filepath.Join(b.dir, name)
	return path, os.WriteFile(path, raw, 0o600)
}

func (r *report) policy(taken map[string][]timing) {
	median := func(name string) timing {
		var wall, cpu []float64
		for _, t := range taken[name] {
			wall, cpu = append(wall, t.wall), append(cpu, t.cpu)
		}
		return timing{middle(wall), middle(cpu)}
	}
	numbers := map[string]any{}
	fmt.Printf("\nthe workbench on a policy of %d rules: whole commands, medians of %d interleaved rounds\n", workbenchRules, workbenchRounds)
	line := func(name, beside string) {
		t, of := median(name), median(beside)
		fmt.Printf("  %-14s %7.1f ms, %7.1f ms of the processor; %.2f times %s (%.1f ms)\n", name, t.wall, t.cpu, t.wall/of.wall, beside, of.wall)
		numbers[name] = map[string]any{"wall_ms": t.wall, "cpu_ms": t.cpu, "beside": beside, "beside_ms": of.wall, "times": t.wall / of.wall}
	}
	line("policy check", "opa check")
	line("policy explain", "opa eval")
	m := median("policy matrix")
	cell := (m.cpu - median("policy check").cpu) * 1000 / 2000
	fmt.Printf("  %-14s %7.1f ms for 2 roles and 1,000 tools: %.0f us of the processor a cell beyond the start\n", "policy matrix", m.wall, cell)
	numbers["policy matrix"] = map[string]any{"wall_ms": m.wall, "cpu_ms": m.cpu, "cells": 2000, "cpu_us_a_cell": cell}
	r.numbers["policy"] = numbers
}
