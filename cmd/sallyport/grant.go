package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/identity/grant"
	"sallyport/identity/mint"
	"sallyport/identity/pop"
)

func (a *app) newGrant() *cobra.Command {
	return group("grant", "Make grants, list them, and end them", a.newGrantCreate(), a.newGrantList(), a.newGrantShow(), a.newGrantRevoke())
}

// grantFlags are what a grant can be asked for.
type grantFlags struct {
	ask                mint.Ask
	args, cert, notYet string
	budgets            []string
}

func (a *app) newGrantCreate() *cobra.Command {
	var f grantFlags
	cmd := &cobra.Command{Use: "create --role ROLE", Short: "Make a grant and print its id", Args: cobra.NoArgs,
		Long: "Makes a grant: who may use which tools, how often and until when, for one task. What it\n" +
			"allows is never more than the role and the policy allow. It prints the grant's id; tokens\n" +
			"of it come from `sallyport token mint --grant ID` and `sallyport token headers --grant ID`.\n\n" +
			"--args names a file with constraints of arguments, a JSON array:\n\n" +
			"  [{\"tools\": \"files.read_*\", \"schema\": {\"properties\": {\"path\": {\"pattern\": \"^/srv/docs/\"}}}},\n" +
			"   {\"tools\": \"mail.send\", \"rego\": \"data.mcp.constraints.only_us\"}]"}
	f.add(cmd)
	asJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		is, err := asJSON()
		if err != nil {
			return err
		}
		if err := asked(cmd, f.ask.Tools); err != nil {
			return err
		}
		ask, err := f.read()
		if err != nil {
			return err
		}
		return a.with(cmd.Context(), func(auth authority) error {
			g, err := auth.Grant(cmd.Context(), ask)
			if err != nil {
				return err
			}
			if is {
				return a.printJSON(g)
			}
			return a.printf("%s\n", g.ID)
		})
	}
	return cmd
}

func (f *grantFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.ask.Roles, "role", nil, "`ROLE` of whoever acts; may be given again")
	flags.StringSliceVar(&f.ask.Tools, "tools", nil, "`GLOB` of tools, server.tool split at the first dot; may be given again; default: what the role may use")
	flags.StringVar(&f.args, "args", "", "`FILE` with constraints of arguments")
	flags.Int64Var(&f.ask.MaxCalls, "max-calls", 0, "at most `N` calls; default: not counted")
	flags.StringArrayVar(&f.budgets, "budget", nil, "`GLOB=N`: at most N calls of the tools that match; may be given again")
	flags.DurationVar(&f.ask.TTL, "ttl", 0, "life, up to 24h; default: 1h")
	flags.StringVar(&f.notYet, "not-before", "", "`TIME` from which it holds, such as 2026-01-02T15:04:05Z; default: now")
	flags.StringVar(&f.ask.Task, "task", "", "`TASK` it is for, such as JIRA-1234")
	flags.StringVar(&f.ask.Reason, "reason", "", "`TEXT` for the record: why it is given")
	flags.StringVar(&f.ask.Subject, "subject", "", "`WHO` acts (an operator's word); default: the user that runs the command")
	flags.StringVar(&f.ask.ClientID, "client", "", "`PROGRAM` that acts; default: sallyport")
	flags.StringVar(&f.ask.JKT, "key", "", "`THUMBPRINT` (RFC 7638) of the only key that may use it")
	flags.StringVar(&f.cert, "cert", "", "`FILE` with the only client certificate that may use it, PEM")
}

func (f *grantFlags) read() (mint.Ask, error) {
	if len(f.ask.Roles) == 0 {
		return mint.Ask{}, errUsage{"a grant needs at least one role (--role)"}
	}
	var err error
	if f.notYet != "" {
		if f.ask.NotBefore, err = time.Parse(time.RFC3339, f.notYet); err != nil {
			return mint.Ask{}, errUsage{fmt.Sprintf("--not-before %s: want a time such as 2026-01-02T15:04:05Z", f.notYet)}
		}
	}
	for _, b := range f.budgets {
		tools, count, _ := strings.Cut(b, "=")
		n, err := strconv.ParseInt(count, 10, 64)
		if err != nil || n < 1 {
			return mint.Ask{}, errUsage{fmt.Sprintf("--budget %s: want GLOB=N, such as 'mail.send=3'", b)}
		}
		f.ask.Budgets = append(f.ask.Budgets, grant.Budget{Tools: tools, Calls: n})
	}
	if f.ask.Args, err = constraints(f.args); err != nil {
		return mint.Ask{}, err
	}
	f.ask.X5T, err = certificate(f.cert)
	return f.ask, err
}

// certificate returns the thumbprint of the certificate in a file, as RFC 8705 binds tokens to
// it (x5t#S256).
func certificate(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the certificate: %w", err)
	}
	block, _ := pem.Decode(raw)
	if block == nil || block.Type != "CERTIFICATE" {
		return "", fmt.Errorf("%s holds no certificate in PEM; name the client's certificate, not its key", file)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", fmt.Errorf("read the certificate in %s: %w", file, err)
	}
	return pop.X5T(cert), nil
}

// filterFlags say which grants are meant.
type filterFlags struct{ grant.Filter }

func (f *filterFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.Task, "task", "", "grants of this `TASK`")
	flags.StringVar(&f.Subject, "subject", "", "grants of this `SUBJECT`")
	flags.StringVar(&f.ClientID, "client", "", "grants of this `PROGRAM`")
	flags.StringVar(&f.Key, "key", "", "grants bound to the key with this `THUMBPRINT`, or to that certificate")
	flags.StringVar(&f.Issuer, "issuer", "", "grants of subjects of this `ISSUER`")
}

// lives reports whether tokens of g are still accepted, now or, where it is exhausted, for
// what is not counted.
func lives(g grant.Status) bool { return g.State == grant.Active || g.State == grant.Exhausted }

func (a *app) newGrantList() *cobra.Command {
	var f filterFlags
	var living bool
	cmd := &cobra.Command{Use: "list", Short: "List grants: who may do what, until when, and what was used", Args: cobra.NoArgs,
		Long: "Lists grants, the newest first. Operators see those of everybody, others their own. Grants\nthat ended stay in the list for a day."}
	f.add(cmd)
	cmd.Flags().BoolVar(&living, "live", false, "only those that have not ended")
	asJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		is, err := asJSON()
		if err != nil {
			return err
		}
		f.All = f.Filter == (grant.Filter{})
		return a.with(cmd.Context(), func(auth authority) error {
			found, err := auth.List(cmd.Context(), f.Filter)
			if err != nil {
				return err
			}
			shown := make([]grant.Status, 0, len(found)) // an empty array, not null
			for _, g := range found {
				if !living || lives(g) {
					shown = append(shown, g)
				}
			}
			if is {
				return a.printJSON(shown)
			}
			return a.printf("%s", table(shown, time.Now()))
		})
	}
	return cmd
}

func (a *app) newGrantShow() *cobra.Command {
	cmd := &cobra.Command{Use: "show ID", Short: "Show one grant", Args: cobra.ExactArgs(1)}
	asJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		is, err := asJSON()
		if err != nil {
			return err
		}
		return a.with(cmd.Context(), func(auth authority) error {
			g, err := find(cmd.Context(), auth, args[0])
			if err != nil {
				return err
			}
			if is {
				return a.printJSON(g)
			}
			return a.printf("%s", page(g, time.Now()))
		})
	}
	return cmd
}

// find returns the one grant with an id.
func find(ctx context.Context, auth authority, id string) (grant.Status, error) {
	found, err := auth.List(ctx, grant.Filter{ID: id})
	if err != nil {
		return grant.Status{}, err
	}
	if len(found) != 1 {
		return grant.Status{}, errNo{fmt.Sprintf("no grant is called %s, or it is not yours, or it ended more than a day ago; `sallyport grant list` shows what there is", plain(id))}
	}
	return found[0], nil
}

func (a *app) newGrantRevoke() *cobra.Command {
	var f filterFlags
	var why string
	cmd := &cobra.Command{Use: "revoke ID | --task TASK | --subject WHO | --client PROGRAM | --key THUMBPRINT | --issuer URL | --all",
		Short: "End grants, and what is done with them, at once", Args: cobra.MaximumNArgs(1),
		Long: "Ends the grants that match, and those made below them: calls in flight are cancelled, streams\n" +
			"closed, and their tokens are refused from now on. Prints the ids. --all ends everything that\nlives. Operators end those of everybody, others their own."}
	f.add(cmd)
	cmd.Flags().BoolVar(&f.All, "all", false, "every grant that lives")
	cmd.Flags().StringVar(&why, "why", "", "`TEXT` for the record, which the holder sees")
	asJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		is, err := asJSON()
		if err != nil {
			return err
		}
		if err := f.which(args); err != nil {
			return err
		}
		return a.with(cmd.Context(), func(auth authority) error {
			ended, err := auth.Revoke(cmd.Context(), f.Filter, grant.Revoked, why)
			return errors.Join(a.printEnded(ended, is), err, f.none(ended, err))
		})
	}
	return cmd
}

// which takes an id and sees that one thing is said.
func (f *filterFlags) which(args []string) error {
	if len(args) == 1 {
		f.ID = args[0]
	}
	rest := f.Filter
	rest.All = false
	switch given := rest != (grant.Filter{}); {
	case given && f.All:
		return errUsage{"--all ends every grant, and something else says which; give one of them"}
	case !given && !f.All:
		return errUsage{"which grant? Give its id, or --task, --subject, --client, --key, --issuer or --all"}
	}
	return nil
}

// none is the answer no, where nothing was there to end. Everything is ended also when there
// was nothing.
func (f *filterFlags) none(ended []grant.Grant, err error) error {
	if err == nil && len(ended) == 0 && !f.All {
		return errNo{"no grant of yours that lives matches; `sallyport grant list` shows what there is"}
	}
	return nil
}

func (a *app) printEnded(ended []grant.Grant, asJSON bool) error {
	if asJSON {
		if ended == nil {
			ended = []grant.Grant{}
		}
		return a.printJSON(ended)
	}
	for _, g := range ended {
		if err := a.printf("%s\n", g.ID); err != nil {
			return err
		}
	}
	return nil
}
