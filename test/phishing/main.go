package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	if err := conduct(); err != nil {
		fmt.Fprintln(os.Stderr, "phishing:", err)
		os.Exit(1)
	}
}

func conduct() error {
	claude := flag.String("claude", "", "folder that Claude Code was fetched into")
	clients := flag.String("clients", "", "folder that the MCP servers were fetched into")
	sallyport := flag.String("sallyport", "bin/sallyport", "the gateway's binary")
	runs := flag.Int("runs", 25, "sessions of each setting")
	only := flag.String("only", "", "one setting by its name")
	file := flag.String("json", os.Getenv("PHISHING_JSON"), "file for the numbers")
	keep := flag.String("keep", "", "folder for configurations, logs and records, which is then not removed")
	flag.Parse()
	p, err := find(*claude, *clients, *sallyport)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir := *keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "phishing-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	e, err := newExperiment(p, dir, *runs)
	if err != nil {
		return err
	}
	defer e.close()
	if err := e.conduct(ctx, *only); err != nil {
		return err
	}
	e.report.print(os.Stdout)
	if err := e.report.write(*file); err != nil {
		return err
	}
	if *only != "" {
		return nil
	}
	return e.report.verdict()
}
