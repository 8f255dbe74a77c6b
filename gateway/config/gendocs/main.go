// Command gendocs writes docs/configuration.md from the comments on the fields of
// config.Config, so that the manual and the code cannot part.
package main

import (
	"flag"
	"fmt"
	"os"
)

// sources are the files with the structs.
var sources = []string{"config.go", "identity.go", "server.go", "guards.go", "audit.go", "credential.go"}

func main() {
	out := flag.String("o", "../../docs/configuration.md", "file to write")
	flag.Parse()
	text, err := manual(sources...)
	if err == nil {
		err = os.WriteFile(*out, text, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gendocs:", err)
		os.Exit(1)
	}
}
