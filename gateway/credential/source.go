package credential

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"
)

// Who is on whose behalf a secret is asked for. The zero Who is the gateway itself.
type Who struct{ Subject, Issuer string }

// Secret is a credential and the moment from which it must not be used; a zero Expires means
// that nobody has said. However it is printed, its value is not shown.
type Secret struct {
	Value   string
	Expires time.Time
}

// Source yields a secret for a request or a process. It is safe for concurrent use. The errors
// say what was wrong, where, and what to do, and hold no secret.
type Source interface {
	Get(ctx context.Context, who Who) (Secret, error)
}

// Refresher is a Source that can be told that a secret was refused: the next Get fetches anew,
// unless that has happened already.
type Refresher interface {
	Source
	Refused(who Who, refused Secret)
}

// Leaser is a Source that keeps secrets of single principals.
type Leaser interface {
	Source
	// Forget drops what is kept for who, so that the next Get fetches anew. Of the gateway's own it
	// drops nothing.
	Forget(who Who)
}

const masked = "[secret]"

// Format writes the same for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, masked) }

// LogValue keeps the value out of logs.
func (Secret) LogValue() slog.Value { return slog.StringValue(masked) }

// MarshalText keeps the value out of JSON and whatever else is written as text.
func (Secret) MarshalText() ([]byte, error) { return []byte(masked), nil }

// named is what a source shows of itself; a source embeds it so that no verb reaches its fields.
type named string

func (n named) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, string(n)) }
func (n named) LogValue() slog.Value         { return slog.StringValue(string(n)) }
func (n named) MarshalJSON() ([]byte, error) { return json.Marshal(string(n)) }

// maxSecret bounds a secret, and what it is read from, in bytes.
const maxSecret = 64 << 10

// checkValue refuses what could not be one line of a header or a variable.
func checkValue(value string) error {
	switch {
	case value == "":
		return errors.New("is empty")
	case len(value) > maxSecret:
		return fmt.Errorf("has over %d bytes; that is no credential", maxSecret)
	case strings.ContainsAny(value, "\r\n"):
		return errors.New("has more than one line; it must hold the secret and nothing else")
	}
	for _, c := range []byte(value) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return errors.New("holds a control character")
		}
	}
	return nil
}

// warnShort tells the operator of a secret that no scrubber looks for.
func warnShort(log *slog.Logger, of named, value string) {
	if len(value) < MinScrub {
		log.Warn("credential is so short that it is not looked for in answers; use a longer one", slog.Any("credential", of), slog.Int("bytes", MinScrub))
	}
}

// EnvOf returns a function that makes the environment of a process out of sources, each asked
// when it is called. Its error names the variable.
func EnvOf(sources map[string]Source) func(ctx context.Context, who Who) (map[string]string, error) {
	return func(ctx context.Context, who Who) (map[string]string, error) {
		env := make(map[string]string, len(sources))
		for name, source := range sources {
			secret, err := source.Get(ctx, who)
			if err != nil {
				return nil, fmt.Errorf("variable %s: %w", name, err)
			}
			env[name] = secret.Value
		}
		return env, nil
	}
}

// Sensitive reports whether a header or variable of this name usually holds a secret.
func Sensitive(name string) bool {
	name = strings.ToUpper(name)
	for _, part := range []string{"TOKEN", "SECRET", "PASSW", "PASSPHRASE", "CREDENTIAL", "COOKIE", "AUTHORIZATION", "APIKEY", "API-KEY", "API_KEY",
		"ACCESS_KEY", "ACCESS-KEY", "PRIVATE_KEY", "AUTH_KEY", "AUTH-KEY"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return strings.HasSuffix(name, "_KEY") || strings.HasSuffix(name, "-KEY") || strings.HasSuffix(name, "_PASS") || strings.HasSuffix(name, "_PAT")
}
