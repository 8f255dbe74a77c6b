package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

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
	client := admin.Dial(cfg.Socket())
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
	if a.env[envRelay] != "" {
		return nil, errors.New("this command runs below `sallyport run`, whose socket carries MCP and answers nothing else; use `sallyport connect`, or run this elsewhere")
	}
	return admin.Dial(path), nil
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

// with runs do with an authority and closes it.
func (a *app) with(ctx context.Context, do func(authority) error) error {
	auth, err := a.openAuthority(ctx)
	if err != nil {
		return err
	}
	return told(errors.Join(do(auth), auth.Close()))
}
