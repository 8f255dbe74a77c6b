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
	"sallyport/gateway/sandbox"
)

func main() {
	if sandbox.Reexecuted() {
		sandbox.Main()
	}
	ctx, end := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		end()
		<-signals // whoever sends two has waited long enough
		os.Exit(exitFailed)
	}()
	os.Exit(runUntil(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ()))
}

// run is the program: its exit code is returned.
func run(args []string, in io.Reader, out, talk io.Writer, environ []string) int {
	return runUntil(context.Background(), args, in, out, talk, environ)
}

// runUntil is run, brought to a graceful end when ctx ends.
func runUntil(ctx context.Context, args []string, in io.Reader, out, talk io.Writer, environ []string) int {
	a := &app{in: in, out: out, talk: talk, env: config.Environ(environ)}
	code := a.exit(a.execute(ctx, args))
	for _, clean := range a.atExit {
		clean()
	}
	return code
}
