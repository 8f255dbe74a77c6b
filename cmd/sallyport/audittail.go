package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"sallyport/gateway/audit/reader"
)

func (a *app) newAuditTail() *cobra.Command {
	cmd := &cobra.Command{Use: "tail", Short: "The newest records, and each that is written from now on", Args: cobra.NoArgs,
		Long: "Prints the newest records, and with --follow each that comes, over rotation and compression of\n" +
			"segments, without loss or repetition. What it follows it waits to be final: a record that a\n" +
			"failing disk takes back was never printed.\n\n" +
			"  -o json       each record on one line, byte for byte as it is in the log\n" +
			"  --format opa  each decision on one line as Open Policy Agent logs it; no outcomes\n\n" +
			"A collector that keeps the number of the newest record it has (`seq`; with --format opa\n" +
			"`custom.seq`) goes on behind it with --after.",
		Example: "  sallyport audit tail --follow\n  sallyport audit tail --follow -o json --after 0 | collector"}
	n := cmd.Flags().IntP("lines", "n", 10, "begin with the newest `N` records")
	follow := cmd.Flags().BoolP("follow", "f", false, "go on until interrupted")
	after := cmd.Flags().Uint64("after", 0, "begin behind the record with this `SEQ`, 0 for the oldest, instead of with the newest")
	format := cmd.Flags().String("format", "", "`FORMAT` of each line: opa")
	log := logFlag(cmd)
	asJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		is, err := asJSON()
		if err != nil {
			return err
		}
		if *format != "" && *format != "opa" {
			return errUsage{fmt.Sprintf("--format %s: want opa, or leave it out", *format)}
		}
		if *n < 0 {
			return errUsage{fmt.Sprintf("-n %d: want a number of records", *n)}
		}
		dir, err := a.logDir(*log)
		if err != nil {
			return err
		}
		o := reader.FollowOptions{After: *after, Once: !*follow}
		if !cmd.Flags().Changed("after") {
			if o.From, err = reader.End(dir, *n); err != nil {
				return err
			}
		}
		show := a.showLine
		switch {
		case *format == "opa":
			show = a.opaLine()
		case is:
			show = func(e reader.Entry) error { return a.printf("%s\n", e.Raw) }
		}
		return a.tail(cmd.Context(), dir, o, show)
	}
	return cmd
}

func (a *app) tail(ctx context.Context, dir string, o reader.FollowOptions, show func(reader.Entry) error) error {
	for e, err := range reader.Follow(ctx, dir, o) {
		switch {
		case err == nil:
			if err := show(e); err != nil {
				return err
			}
		case !reader.Told(err):
			return err
		default:
			a.say("%v", err)
		}
	}
	return nil
}

func (a *app) showLine(e reader.Entry) error { return a.printf("%s\n", lineText(e)) }

// opaLine prints decisions as OPA logs them.
func (a *app) opaLine() func(reader.Entry) error {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	labels := map[string]string{"app": "sallyport", "id": host, "version": version}
	return func(e reader.Entry) error {
		event, ok := e.OPA(labels)
		if !ok {
			return nil
		}
		line, err := json.Marshal(event)
		if err != nil {
			return fmt.Errorf("write the decision of %s as OPA does: %w", e.At(), err)
		}
		return a.printf("%s\n", line)
	}
}
