package main

import (
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"sallyport/cmd/sallyport/internal/demo"
	"sallyport/examples/policies"
)

// newDemo returns `sallyport demo`.
func (a *app) newDemo() *cobra.Command {
	var o demo.Options
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Play an attack, first without the gateway and then through it",
		Long: `Runs four small MCP servers, the gateway and the example policy phishing-defence in
this process, and plays the calls of an agent that obeys a phishing message: first straight at
the servers, then through the gateway. For each call it prints what was decided, by which rule
and why. Then it serves on, so that you can point Claude Code or the MCP Inspector at it.

Everything is on loopback, and its state is in a temporary directory that goes when it ends.
It exits 0 only if every step came out as told.`,
		Example: "  sallyport demo\n  sallyport demo --once",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Once && !cmd.Flags().Changed("listen") {
				o.Listen = "127.0.0.1:0" // nobody will be pointed at it
			}
			example, err := policies.FS(policies.PhishingDefence)
			if err != nil {
				return err
			}
			o.Policies, o.Out, o.Colour = example, a.out, a.coloured(a.out)
			o.Log = slog.New(slog.NewTextHandler(a.talk, &slog.HandlerOptions{Level: slog.LevelWarn}))
			if o.Program, err = os.Executable(); err != nil {
				o.Program = "sallyport"
			}
			return demo.Run(cmd.Context(), o)
		},
	}
	cmd.Flags().BoolVar(&o.Once, "once", false, "end after the story")
	cmd.Flags().StringVar(&o.Listen, "listen", "127.0.0.1:8080", "loopback address of the gateway (with --once: any free port)")
	return cmd
}

// coloured reports whether w is a terminal whose user wants colours (https://no-color.org).
func (a *app) coloured(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || a.env["NO_COLOR"] != "" || a.env["TERM"] == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
