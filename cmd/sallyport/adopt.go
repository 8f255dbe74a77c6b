package main

import (
	"bufio"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/cmd/sallyport/internal/adopt"
	"sallyport/cmd/sallyport/internal/entry"
)

func (a *app) newAdopt() *cobra.Command {
	cmd := &cobra.Command{Use: "adopt [FILE]", Short: "Move the servers of a client's .mcp.json behind the gateway", Args: cobra.MaximumNArgs(1),
		Long: "Reads a client's FILE (default: .mcp.json) and shows what would become of it: the gateway's\n" +
			"configuration, with a sandbox for each command, and the client's new file, in which the\n" +
			"gateway is the one server. It asks before it writes. Secrets move into files that only this\n" +
			"user can read, below the state directory. Where there are no policies, it writes a starter.\n\n" +
			"The client's file is kept as FILE.before-sallyport; --undo puts it back, byte for byte.\n" +
			"Servers that the gateway cannot stand before stay in the client's file and are named."}
	out := cmd.Flags().String("out", configName, "`FILE` of the gateway's configuration, beside the client's")
	role := cmd.Flags().String("role", "reader", "`ROLE` of the client's tokens")
	yes := cmd.Flags().Bool("yes", false, "write without asking")
	undo := cmd.Flags().Bool("undo", false, "put the client's file back")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		file := ".mcp.json"
		if len(args) == 1 {
			file = args[0]
		}
		file, err := filepath.Abs(file)
		if err != nil {
			return fmt.Errorf("find %s: %w", file, err)
		}
		if *undo {
			return a.adoptUndo(file, *yes)
		}
		if filepath.Base(*out) != *out {
			return errUsage{"--out names a file beside the client's, without a directory"}
		}
		plan, err := adopt.Make(adopt.Options{File: file, Out: filepath.Join(filepath.Dir(file), *out), Role: *role, Program: executable(), Environ: a.env})
		if err != nil {
			return err
		}
		if err := a.showPlan(plan); err != nil {
			return err
		}
		if !*yes && !a.agreed("Write these files?") {
			return errNo{"nothing was written"}
		}
		return a.adopt(plan)
	}
	return cmd
}

// showPlan prints what would be written, whole.
func (a *app) showPlan(p *adopt.Plan) error {
	var b strings.Builder
	fmt.Fprintf(&b, "--- %s (new)\n%s\n--- %s (what it is now goes to %s)\n%s\n", p.Out, p.Configuration, p.File, filepath.Base(p.Backup), strings.TrimRight(string(p.Client), "\n")+"\n")
	for _, s := range p.Secrets {
		fmt.Fprintf(&b, "--- %s (new: a secret, for this user alone)\n", s.Path)
	}
	if !exists(p.Config.Policies) {
		fmt.Fprintf(&b, "--- %s (new: a starter policy with its tests)\n", p.Config.Policies)
	}
	b.WriteString("\nWhat each server may do then:\n\n")
	for _, access := range p.Config.Access() {
		b.WriteString(access.Text())
	}
	notes := p.Notes
	if !exists(p.Config.Policies) {
		notes = append(notes, "the starter policy lets an operator call every tool, and a reader those that data.json lists under \"reads\": a client with --role reader sees few tools until you put your own there")
	}
	if len(notes) > 0 {
		b.WriteString("\nTo know:\n\n")
	}
	for _, note := range notes {
		b.WriteString("- " + note + "\n")
	}
	return a.printf("%s\n", b.String())
}

// agreed asks the person. No answer is no.
func (a *app) agreed(question string) bool {
	_, _ = fmt.Fprintf(a.talk, "%s [y/N] ", question) // nobody is left to tell
	line, _ := bufio.NewReader(a.in).ReadString('\n')
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes"
}

func (a *app) adopt(p *adopt.Plan) error {
	if !exists(p.Config.Policies) {
		if _, err := writePolicies(p.Config.Policies, p.Config); err != nil {
			return err
		}
	}
	if err := p.Write(); err != nil {
		return err
	}
	a.say("wrote %s and %s; %s is as it was in %s", p.Out, p.File, filepath.Base(p.File), p.Backup)
	return a.printf("Run the gateway:\n\n%s serve --config %s\n\nTake it back:\n\n%s adopt --undo %s\n",
		entry.Shell(executable()), entry.Shell(p.Out), entry.Shell(executable()), entry.Shell(p.File))
}

// adoptUndo puts the client's file back, and says what else adopt has made.
func (a *app) adoptUndo(file string, force bool) error {
	if err := adopt.Undo(file, force); err != nil {
		return err
	}
	a.say("%s is as it was", file)
	for _, name := range []string{configName, "policies", "state"} {
		if path := filepath.Join(filepath.Dir(file), name); exists(path) {
			a.say("%s is still there; remove it where it is not wanted any more", path)
		}
	}
	return nil
}
