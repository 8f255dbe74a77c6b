package main

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"
)

// logFlags adds the flags of the log and returns what makes it. It goes to standard error:
// standard output is for results.
func (a *app) logFlags(cmd *cobra.Command) func() (*slog.Logger, error) {
	format := cmd.Flags().String("log-format", "text", "`FORMAT` of the log: text or json")
	level := cmd.Flags().String("log-level", "info", "least `LEVEL` that is logged: debug, info, warn or error")
	return func() (*slog.Logger, error) {
		var o slog.HandlerOptions
		switch *level {
		case "debug":
			o.Level = slog.LevelDebug
		case "info":
			o.Level = slog.LevelInfo
		case "warn":
			o.Level = slog.LevelWarn
		case "error":
			o.Level = slog.LevelError
		default:
			return nil, errUsage{fmt.Sprintf("--log-level %s: want debug, info, warn or error", *level)}
		}
		switch *format {
		case "text":
			return slog.New(slog.NewTextHandler(a.talk, &o)), nil
		case "json":
			return slog.New(slog.NewJSONHandler(a.talk, &o)), nil
		}
		return nil, errUsage{fmt.Sprintf("--log-format %s: want text or json", *format)}
	}
}
