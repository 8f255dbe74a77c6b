// Command sallyport is a zero-trust gateway for the Model Context Protocol, and the tools of
// the person who runs it. `sallyport --help` lists its commands.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"sallyport/gateway/config"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ())) }

// run is the program: its exit code is returned.
func run(args []string, in io.Reader, out, talk io.Writer, environ []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal ends the process at once
	a := &app{in: in, out: out, talk: talk, env: config.Environ(environ)}
	return a.exit(a.execute(ctx, args))
}
