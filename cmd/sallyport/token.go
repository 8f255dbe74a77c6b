package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/gateway/admin"
	"sallyport/gateway/config"
	"sallyport/identity"
	"sallyport/identity/grant"
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
	grant           string
}

func (f *tokenFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.roles, "role", nil, "`ROLE` that the token carries; may be given again")
	cmd.Flags().StringVar(&f.subject, "subject", "", "`WHO` acts; default: the user that runs the command")
	cmd.Flags().StringVar(&f.client, "client", "", "`PROGRAM` that acts; default: sallyport")
	cmd.Flags().DurationVar(&f.ttl, "ttl", 0, "life, from 1s to 15m; default: identity.tokenTTL")
	cmd.Flags().StringVar(&f.grant, "grant", "", "`ID` of the grant whose token it is; without, one is made that ends with the token")
}

func (a *app) newTokenMint() *cobra.Command {
	var flags tokenFlags
	cmd := &cobra.Command{Use: "mint --role ROLE | --grant ID", Short: "Print a new token and nothing else", Args: cobra.NoArgs,
		Long: "Prints a token and nothing else. With --grant it is a token of that grant. Without, the\n" +
			"token gets a grant of its own that ends with it, which is an operator's act. Either is in\n" +
			"the audit log before the token is printed."}
	flags.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := flags.check(); err != nil {
			return err
		}
		return a.with(cmd.Context(), func(auth authority) error {
			ask := mint.TokenAsk{Grant: flags.grant, TTL: flags.ttl}
			err := flags.agree(cmd.Context(), auth)
			if flags.grant == "" {
				ask, err = a.implicit(cmd.Context(), auth, &flags)
			}
			if err != nil {
				return err
			}
			answer, err := auth.Token(cmd.Context(), ask)
			if err != nil {
				return err
			}
			return a.printf("%s\n", answer.Token)
		})
	}
	return cmd
}

func (f *tokenFlags) check() error {
	if len(f.roles) == 0 && f.grant == "" {
		return errUsage{"a token needs at least one role (--role), or a grant (--grant)"}
	}
	if f.ttl == 0 {
		return nil
	}
	if err := mint.CheckTTL(f.ttl); err != nil {
		return errUsage{err.Error()}
	}
	return nil
}

// agree refuses to mint a token of a grant that does not say what the flags say: it carries
// what the grant says.
func (f *tokenFlags) agree(ctx context.Context, auth authority) error {
	if f.grant == "" || len(f.roles) == 0 && f.subject == "" && f.client == "" {
		return nil
	}
	g, err := find(ctx, auth, f.grant)
	if err != nil {
		return err
	}
	roles := slices.Compact(slices.Sorted(slices.Values(f.roles)))
	switch {
	case f.subject != "" && f.subject != g.Subject:
		return errUsage{fmt.Sprintf("the subject of %s is %s, and so its token's; leave --subject out", g.ID, plain(g.Subject))}
	case f.client != "" && f.client != g.ClientID:
		return errUsage{fmt.Sprintf("the client of %s is %s, and so its token's; leave --client out", g.ID, plain(g.ClientID))}
	case len(roles) > 0 && !slices.Equal(roles, slices.Sorted(slices.Values(g.Roles))):
		return errUsage{fmt.Sprintf("the roles of %s are %s, and so its token's; leave --role out", g.ID, plain(strings.Join(g.Roles, ", ")))}
	}
	return nil
}

// implicit makes a grant that ends with the token that is asked for.
func (a *app) implicit(ctx context.Context, auth authority, f *tokenFlags) (mint.TokenAsk, error) {
	ttl := f.ttl
	if ttl == 0 {
		ttl = mint.DefaultTTL
		if cfg, err := a.load(); err == nil { // with SALLYPORT_SOCKET there need not be one
			ttl = cfg.Identity.TokenTTL.Std()
		}
	}
	g, err := auth.Grant(ctx, mint.Ask{Roles: f.roles, Subject: f.subject, ClientID: f.client, TTL: ttl, Implicit: true})
	return mint.TokenAsk{Grant: g.ID, TTL: ttl}, err
}

func (a *app) newTokenHeaders() *cobra.Command {
	var roles []string
	var id, cert string
	cmd := &cobra.Command{Use: "headers --grant ID", Short: "Print a new token of a grant as the header that a client's headersHelper wants", Args: cobra.NoArgs,
		Long: "Prints {\"Authorization\":\"Bearer …\"} for the headersHelper of Claude Code, which runs it at\n" +
			"each connection and again when a token has ended. It never makes a grant: make one with\n" +
			"`sallyport grant create`. Exits 3 once the grant has ended. Give --config an absolute path:\n" +
			"the helper runs in whatever directory the client is in."}
	cmd.Flags().StringVar(&id, "grant", a.env[envGrant], "`ID` of the grant (SALLYPORT_GRANT)")
	cmd.Flags().StringVar(&cert, "cert", "", "`FILE` with the client certificate that is to be shown with the token, PEM")
	cmd.Flags().StringArrayVar(&roles, "role", nil, "not taken: a grant says which roles")
	_ = cmd.Flags().MarkHidden("role") // it is there
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case len(roles) > 0:
			return errUsage{"`token headers` never makes a grant, so it takes no --role; make one with `sallyport grant create --role " + plain(roles[0]) + "` and give its id (--grant), or use `sallyport connect`, which renews by itself"}
		case id == "":
			return errUsage{"which grant? Give its id (--grant, SALLYPORT_GRANT); `sallyport grant create` makes one"}
		}
		x5t, err := certificate(cert)
		if err != nil {
			return err
		}
		return a.with(cmd.Context(), func(auth authority) error {
			answer, err := auth.Token(cmd.Context(), mint.TokenAsk{Grant: id, X5T: x5t})
			if err != nil {
				return err
			}
			return a.printf("{\"Authorization\":\"Bearer %s\"}\n", answer.Token)
		})
	}
	return cmd
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

// inspected is what can be said of a token and of the grant that it names.
type inspected struct {
	mint.Inspection
	Grant *grant.Status `json:"grant,omitempty"`
}

func (a *app) newTokenInspect() *cobra.Command {
	cmd := &cobra.Command{Use: "inspect [TOKEN]", Short: "Say what a token is, whether it is accepted, and why not", Args: cobra.MaximumNArgs(1),
		Long: "Reads the token from standard input where none is given, so that it need not stand in the\nshell's history. Exits 3 when the gateway would refuse it."}
	asJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
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
		in := inspected{}
		if in.Inspection, err = inspect(cfg, token); err != nil {
			return err
		}
		if err := a.lookUp(cmd.Context(), &in); err != nil {
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

// lookUp adds the grant that an otherwise good token names. Without one that lives the
// gateway refuses it.
func (a *app) lookUp(ctx context.Context, in *inspected) error {
	if !in.Accepted {
		return nil
	}
	var claims struct{ Grant string }
	if err := json.Unmarshal(in.Claims, &claims); err != nil {
		return err
	}
	auth, err := a.openAuthority(ctx)
	if err != nil {
		return err
	}
	found, err := auth.List(ctx, grant.Filter{ID: claims.Grant})
	if err := errors.Join(err, auth.Close()); err != nil {
		return told(err)
	}
	in.Accepted = false
	in.Advice = "make a new one with `sallyport grant create`"
	switch {
	case claims.Grant == "":
		in.Why, in.Advice = "it names no grant", "mint it with `sallyport token mint`, which gives it one"
	case len(found) == 0:
		in.Why = "the grant " + plain(claims.Grant) + " is not known here, or ended more than a day ago"
	case !lives(found[0]):
		in.Why, in.Grant = admin.Ended(found[0]), &found[0]
	case found[0].NotBefore.After(time.Now()):
		in.Why, in.Advice, in.Grant = "the grant "+found[0].ID+" begins at "+stamp(found[0].NotBefore), "wait until then", &found[0]
	default:
		in.Accepted, in.Advice, in.Grant = true, "", &found[0]
	}
	return nil
}

// String says it for a person.
func (in inspected) String() string {
	text := in.Inspection.String()
	if in.Grant != nil {
		g, verb := *in.Grant, "ends"
		if !lives(g) {
			verb = "ended"
		}
		text += fmt.Sprintf("grant: %s, %s, calls %s, %s %s\n", g.ID, g.State, calls(g), verb, ends(g, time.Now()))
	}
	return text
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
