package main

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// calmCollector lets the heap grow further before it is collected: it is a few megabytes, of
// which each call leaves a few kilobytes, and at Go's default the collector took a tenth of the
// processor. Where a container bounds the memory the collector works harder near the bound, rather
// than letting the kernel end the process. GOGC and GOMEMLIMIT, where set, are the operator's word.
func calmCollector(env map[string]string) {
	const percent = 400
	if _, set := env["GOGC"]; !set {
		debug.SetGCPercent(percent)
	}
	if _, set := env["GOMEMLIMIT"]; !set {
		if limit := memoryLimit("/sys/fs/cgroup/memory.max"); limit > 0 {
			debug.SetMemoryLimit(limit)
		}
	}
}

// memoryLimit is nine tenths of what the cgroup file allows, for some of a process's memory is not the
// heap's; 0 where there is no bound.
func memoryLimit(file string) int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	most, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64) // "max" is none
	if err != nil || most <= 0 {
		return 0
	}
	return most / 10 * 9
}
