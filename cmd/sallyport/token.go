package main

import (
	"fmt"
	"io"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/gateway/audit"
	"sallyport/gateway/config"
	"sallyport/identity"
	"sallyport/identity/mint"
)

func (a *app) newToken() *cobra.Command {
	return group("token", "Mint tokens, and say what a token is", a.newTokenMint(), a.newTokenHeaders(), a.newTokenInspect())
}

// tokenFlags are what a token can be asked for.
type tokenFlags struct {
	roles           []string
	subject, client string
	ttl             time.Duration
}

func (f *tokenFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.roles, "role", nil, "`ROLE` that the token carries; may be given again")
	cmd.Flags().StringVar(&f.subject, "subject", "", "`WHO` acts; default: the user that runs the command")
	cmd.Flags().StringVar(&f.client, "client", "sallyport", "`PROGRAM` that acts")
	cmd.Flags().DurationVar(&f.ttl, "ttl", 0, "life, from 1s to 15m; default: identity.tokenTTL")
}

func (a *app) newTokenMint() *cobra.Command {
	var flags tokenFlags
	cmd := &cobra.Command{Use: "mint --role ROLE", Short: "Print a new token and nothing else", Args: cobra.NoArgs,
		Long: "Prints a token and nothing else. It is an act of the operator, who can read the keys in\n" +
			"the state directory, and is written down in <state>/audit-acts before the token is printed."}
	flags.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		token, err := a.mint(cmd, &flags)
		if err != nil {
			return err
		}
		return a.printf("%s\n", token)
	}
	return cmd
}

func (a *app) newTokenHeaders() *cobra.Command {
	var flags tokenFlags
	cmd := &cobra.Command{Use: "headers --role ROLE", Short: "Print a new token as the header that a client's headersHelper wants", Args: cobra.NoArgs,
		Long: "Prints {\"Authorization\":\"Bearer …\"} for the headersHelper of Claude Code, which runs it at\n" +
			"each connection and again when a token has ended. Each run mints a short token for the\n" +
			"given role, and is written down in <state>/audit-acts. Give --config an absolute path:\n" +
			"the helper runs in whatever directory the client is in."}
	flags.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		token, err := a.mint(cmd, &flags)
		if err != nil {
			return err
		}
		return a.printf("{\"Authorization\":\"Bearer %s\"}\n", token)
	}
	return cmd
}

// mint makes a token, and returns it once the act is on record.
func (a *app) mint(cmd *cobra.Command, f *tokenFlags) (string, error) {
	if len(f.roles) == 0 {
		return "", errUsage{"a token needs at least one role (--role)"}
	}
	if f.subject == "" {
		f.subject = a.username()
	}
	cfg, err := a.load()
	if err != nil {
		return "", err
	}
	keys, err := cfg.OpenKeys()
	if err != nil {
		return "", err
	}
	issuer, err := cfg.Issuer(keys)
	if err != nil {
		return "", err
	}
	token, claims, err := issuer.Mint(mint.Request{Subject: f.subject, ClientID: f.client, Roles: f.roles, TTL: f.ttl})
	if err != nil {
		return "", errUsage{err.Error()}
	}
	err = cfg.RecordAct(cmd.Context(), &audit.Record{Method: "token/mint", Decision: "allow", Code: "ok", Subject: claims.Subject, Client: claims.ClientID,
		Roles: claims.Roles, JTI: claims.ID, Source: a.username(), Detail: fmt.Sprintf("%s, for %ds", cmd.CommandPath(), claims.ExpiresAt-claims.IssuedAt)})
	if err != nil {
		return "", fmt.Errorf("the token is not given out, since it cannot be recorded: %w", err)
	}
	return token, nil
}

func (a *app) username() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	if u := a.env["USER"]; u != "" {
		return u
	}
	return "operator"
}

// maxToken bounds what is read of a token, in bytes.
const maxToken = 64 << 10

func (a *app) newTokenInspect() *cobra.Command {
	cmd := &cobra.Command{Use: "inspect [TOKEN]", Short: "Say what a token is, whether it is accepted, and why not", Args: cobra.MaximumNArgs(1),
		Long: "Reads the token from standard input where none is given, so that it need not stand in the\nshell's history. Exits 3 when the gateway would refuse it."}
	asJSON := outputFlag(cmd)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		is, err := asJSON()
		if err != nil {
			return err
		}
		token, err := a.argumentOrInput(args)
		if err != nil {
			return err
		}
		cfg, err := a.load()
		if err != nil {
			return err
		}
		in, err := inspect(cfg, token)
		if err != nil {
			return err
		}
		if is {
			err = a.printJSON(in)
		} else {
			err = a.printf("%s", in)
		}
		return orElse(err, func() error { return no(!in.Accepted) })
	}
	return cmd
}

func inspect(cfg *config.Config, token string) (mint.Inspection, error) {
	keys, err := cfg.OpenKeys()
	if err != nil {
		return mint.Inspection{}, err
	}
	if _, err := cfg.Issuer(keys); err != nil { // the same conditions hold
		return mint.Inspection{}, err
	}
	v, err := identity.NewVerifier(identity.VerifierConfig{Issuer: cfg.PublicURL, Audience: cfg.Audience(), Keys: keys})
	if err != nil {
		return mint.Inspection{}, err
	}
	return mint.Inspect(token, v, keys, time.Now()), nil
}

func (a *app) argumentOrInput(args []string) (string, error) {
	if len(args) == 1 && args[0] != "-" {
		return args[0], nil
	}
	text, err := io.ReadAll(io.LimitReader(a.in, maxToken))
	if err != nil {
		return "", fmt.Errorf("read the token from standard input: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}
