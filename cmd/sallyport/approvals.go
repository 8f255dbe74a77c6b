package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/gateway/admin"
	"sallyport/gateway/approval"
	"sallyport/gateway/pin"
)

func (a *app) newApprovals() *cobra.Command {
	return group("approvals", "Calls that wait for a person", a.newApprovalsList(), a.newApprovalsShow(),
		a.newApprovalsDecide("approve", "Let one call be made, once", true), a.newApprovalsDecide("deny", "Refuse one call, and tell the agent", false))
}

// waiting are the calls that this user may see.
func (a *app) waiting(cmd *cobra.Command) (list []approval.Ticket, err error) {
	err = a.atSocket(func(c *admin.Client) error {
		list, err = c.Waiting(cmd.Context())
		return err
	})
	return list, err
}

func (a *app) newApprovalsList() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the calls that wait", Args: cobra.NoArgs,
		Long: "Lists the calls that wait for a person, and those that were decided and have not lapsed. An\n" +
			"operator sees all; others see those whose role they have, and their own."}
	asJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		is, err := asJSON()
		if err != nil {
			return err
		}
		list, err := a.waiting(cmd)
		if err != nil {
			return err
		}
		if is {
			return a.printJSON(list)
		}
		if len(list) == 0 {
			return a.printf("no call waits\n")
		}
		for _, t := range list {
			if err := a.printf("%s  %-8s  %s.%s  for %s, task %s; wants %s; lapses %s\n", t.ID, t.State, t.Server, pin.Visible(t.Tool),
				pin.Visible(t.Subject), pin.Visible(t.Task), pin.Visible(t.By), t.Lapses.Local().Format(time.TimeOnly)); err != nil {
				return err
			}
		}
		return nil
	}
	return cmd
}

func (a *app) newApprovalsShow() *cobra.Command {
	cmd := &cobra.Command{Use: "show ID", Short: "Show one call with its arguments", Args: cobra.ExactArgs(1)}
	asJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		is, err := asJSON()
		if err != nil {
			return err
		}
		list, err := a.waiting(cmd)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(list, func(t approval.Ticket) bool { return t.ID == args[0] })
		if i < 0 {
			return errNo{fmt.Sprintf("no call waits under %s: it has lapsed, or there never was one; see `sallyport approvals list`", plain(args[0]))}
		}
		if is {
			return a.printJSON(list[i])
		}
		return a.showTicket(list[i])
	}
	return cmd
}

// showTicket prints all of a call that a person has to judge. Characters that nobody sees are
// written out: what is approved must be what is read.
func (a *app) showTicket(t approval.Ticket) error {
	for _, line := range []struct{ name, value string }{
		{"id", t.ID}, {"state", string(t.State)}, {"method", t.Method}, {"server", t.Server}, {"name", t.Tool}, {"subject", t.Subject},
		{"issuer", t.Issuer}, {"client", t.Client}, {"grant", t.Grant}, {"task", t.Task}, {"wants role", t.By}, {"policy", t.PolicyRevision},
		{"asked", t.Asked.Local().Format(time.DateTime)}, {"lapses", t.Lapses.Local().Format(time.DateTime)},
		{"decided by", t.DecidedBy}, {"reason", t.Why},
	} {
		if line.value == "" {
			continue
		}
		if err := a.printf("%-11s %s\n", line.name, pin.Visible(line.value)); err != nil {
			return err
		}
	}
	if err := a.printf("arguments %s\n", said(t.Arguments)); err != nil || t.Also == nil {
		return err
	}
	return a.printf("and beside the arguments %s\n", said(t.Also))
}

// said lays JSON out anew, so that no white space of the sender's pushes anything out of sight.
func said(raw json.RawMessage) string {
	if len(raw) == 0 {
		return "none"
	}
	var out bytes.Buffer
	if err := json.Indent(&out, raw, "", "  "); err != nil {
		return pin.Visible(string(raw))
	}
	lines := strings.Split(out.String(), "\n") // none of a string's: those are escaped
	for i, line := range lines {
		lines[i] = pin.Visible(line)
	}
	return strings.Join(lines, "\n")
}

func (a *app) newApprovalsDecide(word, short string, approve bool) *cobra.Command {
	cmd := &cobra.Command{Use: word + " ID", Short: short, Args: cobra.ExactArgs(1),
		Long: short + ".\n\nThe call is the one that `sallyport approvals show ID` prints, and no other: another server, tool,\n" +
			"argument, caller or policy asks again. Nobody decides about a call of their own. The decision\n" +
			"is in the record before it counts."}
	reason := cmd.Flags().String("reason", "", "`TEXT` for the record; of a denial the agent reads it")
	asJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		is, err := asJSON()
		if err != nil {
			return err
		}
		var t approval.Ticket
		err = a.atSocket(func(c *admin.Client) error {
			t, err = c.DecideCall(cmd.Context(), admin.ApprovalAsk{ID: args[0], Approve: approve, Why: *reason})
			return err
		})
		if err != nil {
			return err
		}
		if is {
			return a.printJSON(t)
		}
		if approve {
			return a.printf("%s approved: %s.%s may be called once, exactly so, until %s\n", t.ID, t.Server, pin.Visible(t.Tool), t.Lapses.Local().Format(time.TimeOnly))
		}
		return a.printf("%s denied: the agent is told so when it asks again\n", t.ID)
	}
	return cmd
}
