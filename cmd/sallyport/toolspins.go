package main

import (
	"context"
	"encoding/json"
	"errors"

	"sallyport/gateway/admin"
	"sallyport/gateway/config"
	"sallyport/gateway/pin"
)

// pins is what keeps pinned definitions: the gateway that runs, or else its file.
type pins interface {
	Look(ctx context.Context, ask admin.PinAsk) (json.RawMessage, error)
	Review(ctx context.Context, ask admin.PinAsk) (json.RawMessage, error)
	Close() error
}

// withPins runs do with what keeps the pins now.
func (a *app) withPins(ctx context.Context, do func(pins) error) error {
	p, err := a.openPins(ctx)
	if err != nil {
		return err
	}
	err = errors.Join(do(p), p.Close())
	if errors.Is(err, pin.ErrRefused) {
		return errNo{err.Error()}
	}
	return told(err)
}

func (a *app) openPins(ctx context.Context) (pins, error) {
	if path := a.env[envSocket]; path != "" {
		if err := a.below(); err != nil {
			return nil, err
		}
		return admin.Dial(path), nil
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
	return a.openPinFile(cfg)
}

// openPinFile opens the file itself, as an operator: who can write it can do anything.
func (a *app) openPinFile(cfg *config.Config) (pins, error) {
	mode, err := pin.ParseMode(cfg.Pins)
	if err != nil {
		return nil, err
	}
	store, err := pin.Open(cfg.PinFile(), pin.Options{Mode: mode,
		Record: func(ctx context.Context, act pin.Act) error { return cfg.RecordAct(ctx, config.PinAct(act)) }})
	if err != nil {
		return nil, err
	}
	return &pinFile{store, "user " + a.username()}, nil
}

// pinFile is the file of pins while no gateway runs.
type pinFile struct {
	store *pin.Store
	who   string
}

func (p *pinFile) Look(ctx context.Context, ask admin.PinAsk) (json.RawMessage, error) {
	return p.store.Look(ctx, ask.Server, ask.Kind, ask.Name)
}

func (p *pinFile) Review(ctx context.Context, ask admin.PinAsk) (json.RawMessage, error) {
	return p.store.Review(ctx, p.who, ask.Server, ask.Kind, ask.Name, ask.Digest)
}

func (p *pinFile) Close() error { return p.store.Close() }
