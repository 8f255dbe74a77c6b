package credential

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// EnvConfig says which variable of the gateway's own environment is a secret. Every process of
// the same user can read it there, and so can whoever sees how the gateway is started; it is for
// trying out.
type EnvConfig struct {
	Name   string
	Lookup func(name string) string // of the gateway's environment; "" where there is none
}

type env struct {
	named
	cfg EnvConfig
}

// Env returns the secret in a variable. White space around it does not count. Get fails when it
// is not set or empty.
func Env(cfg EnvConfig) (Source, error) {
	if cfg.Name == "" || cfg.Lookup == nil {
		return nil, errors.New("credential: the name of the variable is missing")
	}
	return &env{named: named("credential in variable " + cfg.Name), cfg: cfg}, nil
}

func (e *env) Get(context.Context, Who) (Secret, error) {
	value := strings.TrimSpace(e.cfg.Lookup(e.cfg.Name))
	if value == "" {
		return Secret{}, fmt.Errorf("the environment has no %s, which is a credential; set it where the gateway is started", e.cfg.Name)
	}
	if err := checkValue(value); err != nil {
		return Secret{}, fmt.Errorf("variable %s, which is a credential, %w", e.cfg.Name, err)
	}
	return Secret{Value: value}, nil
}
