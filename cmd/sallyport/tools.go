package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/gateway/admin"
	"sallyport/gateway/pin"
)

func (a *app) newTools() *cobra.Command {
	return group("tools", "What servers say of their tools, pinned: look at it, compare it, approve it",
		a.newToolsList(), a.newToolsPin(), a.newToolsDiff(), a.newToolsApprove())
}

func kindFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("kind", "", "`KIND` of what is named: tool, prompt, template, or instructions of a server")
}

func (a *app) newToolsList() *cobra.Command {
	cmd := &cobra.Command{Use: "list [SERVER[.TOOL]]", Short: "The catalogue: what is pinned, reviewed, changed, new or hidden", Args: cobra.MaximumNArgs(1),
		Long: "Lists the definitions that servers have shown: tools, prompts, resource templates and the\n" +
			"instructions of servers.\n\n" +
			"  pinned    as it was at first sight; nobody has reviewed it\n" +
			"  reviewed  as somebody has reviewed it\n" +
			"  changed   not what is pinned, and so neither shown nor called\n" +
			"  new       waits for a review, and is neither shown nor called\n" +
			"  hidden    cannot be served; the line below says why\n" +
			"  gone      pinned, and not in what the server shows now\n\n" +
			"Findings are hints for a review and decide nothing. With -o json the definitions are there too."}
	kind := kindFlag(cmd)
	asJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		is, err := asJSON()
		if err != nil {
			return err
		}
		entries, err := a.lookAt(cmd.Context(), args, *kind)
		if err != nil {
			return err
		}
		if is {
			return a.printJSON(entries)
		}
		return a.printf("%s", catalogueTable(entries))
	}
	return cmd
}

func (a *app) newToolsDiff() *cobra.Command {
	cmd := &cobra.Command{Use: "diff [SERVER[.TOOL]]", Short: "What is another than what is pinned, field by field", Args: cobra.MaximumNArgs(1),
		Long: "Shows what waits for a review against what is pinned: texts by lines, schemas by their paths,\n" +
			"and characters that are not seen as ⟨U+200B ZERO WIDTH SPACE⟩. Exits 3 when there is anything."}
	kind := kindFlag(cmd)
	asJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		is, err := asJSON()
		if err != nil {
			return err
		}
		entries, err := a.lookAt(cmd.Context(), args, *kind)
		if err != nil {
			return err
		}
		entries = slices.DeleteFunc(entries, func(e pin.Entry) bool { return e.State != pin.Changed && e.Current == nil })
		if is {
			err = a.printJSON(differences(entries))
		} else {
			err = a.printDiff(entries)
		}
		return orElse(err, func() error { return no(len(entries) > 0) })
	}
	return cmd
}

func (a *app) newToolsPin() *cobra.Command {
	cmd := &cobra.Command{Use: "pin [SERVER[.TOOL]]...", Short: "Approve everything that is there now", Args: cobra.ArbitraryArgs,
		Long: "Approves what servers show now: all of it, all of one server, or what is named. Look first:\n" +
			"`sallyport tools list` and `sallyport tools diff`. What cannot be served is left as it is.\n" +
			"An act of an operator; each definition that it approves is in the record."}
	kind := kindFlag(cmd)
	asJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		is, err := asJSON()
		if err != nil {
			return err
		}
		asks := []admin.PinAsk{{}}
		if len(args) > 0 {
			asks = nil
		}
		for _, arg := range args {
			ask, err := pinAsk(arg, *kind)
			if err != nil {
				return err
			}
			asks = append(asks, ask)
		}
		return a.reviewed(cmd.Context(), asks, is)
	}
	return cmd
}

func (a *app) newToolsApprove() *cobra.Command {
	cmd := &cobra.Command{Use: "approve SERVER.TOOL", Short: "Approve one definition as it is now", Args: cobra.ExactArgs(1),
		Long: "Takes the definition that the server shows now as the one to be served, in every era that it\n" +
			"speaks. With --digest it takes nothing but the definition that has it, which is the one that you\n" +
			"have looked at. An act of an operator, and in the record."}
	kind := kindFlag(cmd)
	digest := cmd.Flags().String("digest", "", "`DIGEST` that the definition must have, as `tools list` and `tools diff` print it")
	asJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		is, err := asJSON()
		if err != nil {
			return err
		}
		ask, err := pinAsk(args[0], *kind)
		if err != nil {
			return err
		}
		if ask.Kind == "" {
			return errUsage{fmt.Sprintf("approve what of %s? Name one definition, %s.TOOL; `sallyport tools pin %s` approves all of a server", plain(args[0]), plain(args[0]), plain(args[0]))}
		}
		ask.Digest = *digest
		return a.reviewed(cmd.Context(), []admin.PinAsk{ask}, is)
	}
	return cmd
}

// pinAsk reads SERVER or SERVER.NAME.
func pinAsk(arg, kind string) (admin.PinAsk, error) {
	server, name, named := strings.Cut(arg, ".")
	ask := admin.PinAsk{Server: server, Kind: kind, Name: name}
	if _, err := pin.ParseKind(kind); kind != "" && err != nil {
		return ask, errUsage{"--kind: " + err.Error()}
	}
	switch {
	case server == "" || named && name == "":
		return ask, errUsage{fmt.Sprintf("%s: want SERVER or SERVER.TOOL", plain(arg))}
	case kind == pin.Instructions.String() && named:
		return ask, errUsage{fmt.Sprintf("%s: instructions are of a server; name it alone: %s", plain(arg), plain(server))}
	case kind != "" && kind != pin.Instructions.String() && !named:
		return ask, errUsage{fmt.Sprintf("%s: name the %s too: %s.NAME", plain(arg), kind, plain(arg))}
	case named && kind == "":
		ask.Kind = pin.Tool.String()
	}
	return ask, nil
}

// lookAt returns the entries that a command is about.
func (a *app) lookAt(ctx context.Context, args []string, kind string) ([]pin.Entry, error) {
	var ask admin.PinAsk
	var err error
	switch {
	case len(args) > 0:
		if ask, err = pinAsk(args[0], kind); err != nil {
			return nil, err
		}
	case kind != "":
		return nil, errUsage{"--kind goes with SERVER.NAME"}
	}
	entries := []pin.Entry{}
	err = a.withPins(ctx, func(p pins) error {
		raw, err := p.Look(ctx, ask)
		if err != nil {
			return err
		}
		return json.Unmarshal(raw, &entries)
	})
	if err == nil && len(entries) == 0 && len(args) > 0 {
		return nil, errNo{fmt.Sprintf("nothing of %s was ever seen; `sallyport tools list` shows what was, and a gateway that runs asks its servers", plain(args[0]))}
	}
	return entries, err
}

// reviewed approves and says what was approved.
func (a *app) reviewed(ctx context.Context, asks []admin.PinAsk, asJSON bool) error {
	approved := []pin.Entry{}
	err := a.withPins(ctx, func(p pins) error {
		for _, ask := range asks {
			raw, err := p.Review(ctx, ask)
			if err != nil {
				return err
			}
			var some []pin.Entry
			if err := json.Unmarshal(raw, &some); err != nil {
				return fmt.Errorf("read what was approved: %w", err)
			}
			approved = append(approved, some...)
		}
		return nil
	})
	if asJSON {
		return errors.Join(err, a.printJSON(approved))
	}
	for _, e := range approved {
		err = errors.Join(err, a.printf("%s approved: %s\n", pin.Visible(e.Label()), e.Digest))
	}
	if err == nil && len(approved) == 0 {
		a.say("nothing was left to approve")
	}
	return err
}
