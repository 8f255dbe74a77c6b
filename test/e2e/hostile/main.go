//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// targets is what an attempt aims at, by name. A target that is missing is an empty string,
// and nothing is found there.
type targets map[string]string

// An attempt returns nil when it came through, else what stopped it.
type attempt func(t targets) error

// Report is what `hostile try` prints.
type report struct {
	Attempt string `json:"attempt"`
	Escaped bool   `json:"escaped"`
	Detail  string `json:"detail"`
}

func main() {
	args := os.Args[1:]
	switch {
	case len(args) == 0:
		serve(os.Stdin, os.Stdout)
	case args[0] == "list":
		all := attempts(nothing, files, devices, processes, sockets, kernel, archSpecific, limits, proxy)
		if len(args) > 1 {
			all = attempts(nothing, sockets, proxy)
		}
		for _, name := range slices.Sorted(maps.Keys(all)) {
			fmt.Println(name)
		}
	case args[0] == "try" && len(args) > 1:
		t := make(targets)
		for _, arg := range args[2:] {
			key, value, _ := strings.Cut(arg, "=")
			t[key] = value
		}
		names := strings.Split(args[1], ",")
		if len(names) == 1 {
			_ = json.NewEncoder(os.Stdout).Encode(try(args[1], t))
			return
		}
		for _, name := range names {
			fmt.Println(strings.TrimSpace(apart(name, t)))
		}
	case helpers[args[0]] != nil:
		if err := helpers[args[0]](args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	default:
		fmt.Fprintln(os.Stderr, "usage: hostile [list [network] | try NAME[,NAME…] key=value…]")
		os.Exit(2)
	}
}

func try(name string, t targets) report {
	a := attempts(nothing, files, devices, processes, sockets, kernel, archSpecific, limits, proxy)[name]
	if a == nil {
		return report{Attempt: name, Detail: "there is no such attempt"}
	}
	if err := a(t); err != nil {
		return report{Attempt: name, Detail: err.Error()}
	}
	return report{Attempt: name, Escaped: true}
}

func attempts(groups ...map[string]attempt) map[string]attempt {
	all := make(map[string]attempt)
	for _, group := range groups {
		maps.Copy(all, group)
	}
	return all
}

// nothing shows that attempts are made at all.
var nothing = map[string]attempt{"say-something": func(targets) error { return nil }}

// helpers are the parts that attempts play in processes of their own.
var helpers = map[string]func(args []string) error{
	"linger": linger,
	"hold":   hold,
	"whoami": whoami,
	"burn":   func([]string) error { return burn(600 * time.Millisecond) },
}

// self is a command that runs this program again.
func self(args ...string) *exec.Cmd {
	return exec.Command("/proc/self/exe", args...)
}

// considered says whether the kernel looked at a call that was wrong on purpose: the answer
// to one that is not allowed comes before any other, and so tells the two apart.
func considered(_, _ uintptr, errno unix.Errno) error {
	if errno == unix.EPERM || errno == unix.ENOSYS || errno == unix.EACCES {
		return errno
	}
	return nil
}

// holds says whether path can be read and has the mark that the test put into what it
// protects.
func holds(path string, t targets) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return marked(string(data), t)
}

func marked(data string, t targets) error {
	if t["mark"] == "" || !strings.Contains(data, t["mark"]) {
		return errors.New("read something, but not the mark")
	}
	return nil
}

// anyOf comes through when one of the ways does.
func anyOf(ways ...func() error) error {
	var all []error
	for _, way := range ways {
		err := way()
		if err == nil {
			return nil
		}
		all = append(all, err)
	}
	return errors.Join(all...)
}
