package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/gateway/admin"
	"sallyport/gateway/config"
	"sallyport/identity/grant"
	"sallyport/identity/mint"
)

// authority is what makes, lists and ends grants: the gateway that runs, through its admin
// socket, or else the state directory that this process has opened itself.
type authority interface {
	Grant(context.Context, mint.Ask) (grant.Grant, error)
	Token(context.Context, mint.TokenAsk) (admin.TokenAnswer, error)
	Revoke(ctx context.Context, f grant.Filter, to grant.State, why string) ([]grant.Grant, error)
	List(context.Context, grant.Filter) ([]grant.Status, error)
	Close() error
}

// openAuthority returns what acts for this user now. With SALLYPORT_SOCKET it is the gateway
// there and no other; else the gateway of this installation where it runs, and where it does
// not, its state.
func (a *app) openAuthority(ctx context.Context) (authority, error) {
	if path := a.env[envSocket]; path != "" {
		return a.given(path)
	}
	cfg, err := a.load()
	if err != nil {
		return nil, err
	}
	client := admin.Dial(reachable(cfg))
	_, err = client.Whoami(ctx)
	if err == nil {
		return client, nil
	}
	if !errors.Is(err, admin.ErrNoServer) {
		return nil, told(err)
	}
	log := slog.New(slog.NewTextHandler(a.talk, &slog.HandlerOptions{Level: slog.LevelWarn}))
	state, openErr := cfg.OpenAuthority(ctx, log)
	if openErr != nil {
		return nil, fmt.Errorf("%w, and the state cannot be opened instead: %w", err, openErr)
	}
	name := a.username()
	return &opener{Authority: state, who: mint.Asker{Name: "user " + name, Subject: name, Issuer: cfg.PublicURL, ClientID: "sallyport",
		AnyRole: true, Operator: true, Via: "operator"}}, nil
}

// given is the gateway that the environment names.
func (a *app) given(path string) (authority, error) {
	if err := a.below(); err != nil {
		return nil, err
	}
	return admin.Dial(path), nil
}

// below refuses what is asked of the gateway where only the relay of a run can be reached.
func (a *app) below() error {
	if a.env[envRelay] != "" {
		return errors.New("this command runs below `sallyport run`, whose socket carries MCP and answers nothing else; use `sallyport connect`, or run this in another terminal")
	}
	return nil
}

// opener acts on the state itself, as an operator: who can open it can do anything.
type opener struct {
	*config.Authority
	who mint.Asker
}

func (o *opener) Grant(ctx context.Context, ask mint.Ask) (grant.Grant, error) {
	return o.Authority.Grant(ctx, o.who, ask)
}

func (o *opener) Token(ctx context.Context, ask mint.TokenAsk) (admin.TokenAnswer, error) {
	token, claims, err := o.Authority.Token(ctx, o.who, ask)
	if err != nil {
		return admin.TokenAnswer{}, err
	}
	return admin.TokenAnswer{Token: token, Expires: time.Unix(claims.ExpiresAt, 0).UTC(), Grant: claims.Grant}, nil
}

func (o *opener) Revoke(ctx context.Context, f grant.Filter, to grant.State, why string) ([]grant.Grant, error) {
	return o.Authority.Revoke(ctx, o.who, f, to, why)
}

func (o *opener) List(_ context.Context, f grant.Filter) ([]grant.Status, error) {
	return o.Authority.List(o.who, f), nil
}

// told turns a refusal into its exit code: 3, the answer is no, or 2 where the question was
// wrong. A gateway that could not answer is a failure like any other.
func told(err error) error {
	ref, ok := errors.AsType[*mint.Refusal](err)
	switch {
	case !ok || ref.Status >= http.StatusInternalServerError:
		return err
	case ref.Code == "invalid_request":
		return errUsage{ref.Message}
	}
	return errNo{ref.Message}
}

// asked refuses what would not be what it says: a count or a life of none is not one without a
// bound, and a tool is named by its server too.
func asked(cmd *cobra.Command, tools []string) error {
	for name, none := range map[string]string{"max-calls": "at least 1", "ttl": "a life such as 45m"} {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed && (f.Value.String() == "0" || f.Value.String() == "0s") {
			return errUsage{fmt.Sprintf("--%s 0: want %s, or leave it away for the default", name, none)}
		}
	}
	for _, pattern := range tools {
		server, tool, shown := strings.Cut(pattern, "__")
		switch {
		case strings.Contains(pattern, ".") || pattern == "":
		case shown && server != "":
			return errUsage{fmt.Sprintf("--tools %s: that is how a client shows it; write %q", plain(pattern), server+"."+tool)}
		default:
			return errUsage{fmt.Sprintf("--tools %s: a tool is named SERVER.TOOL; write %q for the tool of any server, or %q for all tools of a server", plain(pattern), "*."+pattern, pattern+".*")}
		}
	}
	return nil
}

// with runs do with an authority and closes it.
func (a *app) with(ctx context.Context, do func(authority) error) error {
	auth, err := a.openAuthority(ctx)
	if err != nil {
		return err
	}
	return told(errors.Join(do(auth), auth.Close()))
}
