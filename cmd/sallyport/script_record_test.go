package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"filippo.io/age"
	"github.com/rogpeppe/go-internal/testscript"
)

// agekey writes an age identity into a file, and its recipient into a variable.
func agekey(ts *testscript.TestScript, _ bool, args []string) {
	id, err := age.GenerateX25519Identity()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(id.String()+"\n"), 0o600))
	ts.Setenv(args[1], id.Recipient().String())
}

// traffic makes a record that has enough to learn from.
func traffic(ts *testscript.TestScript, neg bool, args []string) {
	n, err := strconv.Atoi(args[3])
	ts.Check(err)
	token := strings.TrimSpace(ts.ReadFile(args[1]))
	for i := range n {
		text, err := callWith(args[0], token, args[2], strings.ReplaceAll(args[4], "$i", strconv.Itoa(i+1)))
		must(ts, neg, err)
		_, _ = fmt.Fprintln(ts.Stdout(), text)
	}
}
