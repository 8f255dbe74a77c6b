package federate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/identity/jose"
)

// Use is what a token is shown as. The zero Use is none and takes no token.
type Use int

// The uses of a token at the token endpoint.
const (
	SubjectToken    Use = iota + 1 // token exchange, RFC 8693 §2.1: kinds oidc and spiffe
	Assertion                      // authorization grant, RFC 7523 §2.1: kinds oidc and spiffe
	ClientAssertion                // client authentication, RFC 7523 §2.2: kind private_key_jwt
)

// Identity is whom a token of others speaks for here, and what that is worth at most.
type Identity struct {
	Rule          string // name of the rule that took the token
	Subject       string // made by the rule's template; no two identities give one
	Issuer        string // of the token: its iss, or the URI of the trust domain
	ClientID      string
	Roles         []string  // that may be asked for
	Until         time.Time // when the token shown ends
	BearerAllowed bool
}

// Options are what [New] needs beside rules. The zero Options are good.
type Options struct {
	Now func() time.Time // default time.Now
	Log *slog.Logger     // default: nothing is logged
	// Previous is the federation that the new one replaces. Keys that were read and assertions
	// that were used go over to it; a reload must not make a used assertion good again.
	// Previous goes on working until it is closed, which must not be before New returns.
	Previous *Federation
}

// Federation verifies tokens by an immutable list of rules. It is safe for concurrent use. A nil
// Federation has no rules and takes no token.
type Federation struct {
	rules   []*rule
	sources map[string]*shared  // by what names them; the rules of one issuer share one
	replays map[string]*replays // by client
	now     func() time.Time
	closed  sync.Once
}

// shared counts the federations that use a source; the last one closes it.
type shared struct {
	keySource
	users atomic.Int32
}

// keySource gives the keys of one issuer.
type keySource interface {
	// key returns the key of that name. The error wraps ErrUnknownKey or ErrKeys.
	key(ctx context.Context, kid string) (jose.Key, error)
	probe(ctx context.Context) error
	close()
}

// New checks the rules. It reads the files that they name and asks nobody on the network, so
// that an issuer which is down stops nothing but its own tokens. The error is a *[RuleError] for
// each fault, joined.
func New(rules []Rule, o Options) (*Federation, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	f := &Federation{sources: map[string]*shared{}, replays: map[string]*replays{}, now: o.Now}
	var faults []error
	for i, written := range rules {
		r, err := compile(written)
		if err == nil {
			err = r.fits(f.rules)
		}
		if err == nil {
			err = f.connect(r, o)
		}
		if err != nil {
			err.Rule, err.Index = written.Name, i
			faults = append(faults, err)
			continue
		}
		f.rules = append(f.rules, r)
	}
	if len(faults) > 0 {
		f.Close()
		return nil, errors.Join(faults...)
	}
	return f, nil
}

// connect gives the rule its keys and its memory, which it shares with other rules of the issuer.
func (f *Federation) connect(r *rule, o Options) *RuleError {
	name := r.sourceName()
	if f.sources[name] == nil {
		var source *shared
		if o.Previous != nil {
			source = o.Previous.sources[name]
		}
		if source == nil {
			opened, err := r.open(o)
			if err != nil {
				return err
			}
			source = &shared{keySource: opened}
		}
		source.users.Add(1)
		f.sources[name] = source
	}
	r.keys = f.sources[name]
	if r.Kind != privateKeyJWT {
		return nil
	}
	if f.replays[r.ClientID] == nil {
		if o.Previous != nil {
			f.replays[r.ClientID] = o.Previous.replays[r.ClientID]
		}
		if f.replays[r.ClientID] == nil {
			f.replays[r.ClientID] = newReplays(o.Now())
		}
	}
	r.replays = f.replays[r.ClientID]
	return nil
}

// Verify returns whom the token speaks for. The first rule that fits its use, issuer, audience,
// type, lifetime and required claims decides; rules after it are not asked, whatever comes of the
// signature. Keys are looked for only when a rule fits, and a caller whose key is known never
// waits for the network. On any error the Identity is nil.
func (f *Federation) Verify(ctx context.Context, token string, use Use) (*Identity, error) {
	if f == nil {
		return nil, &NoRuleError{}
	}
	t, err := jose.Parse(token)
	if err != nil {
		return nil, err
	}
	c, err := readClaims(t.Claims)
	if err != nil {
		return nil, err
	}
	now := f.now()
	if err := c.inTime(now); err != nil {
		return nil, err
	}
	refusal := &NoRuleError{}
	for _, r := range f.rules {
		subject, why := r.judge(t, c, use, now)
		if why != "" {
			refusal.Reasons = append(refusal.Reasons, Reason{r.Name, why})
			continue
		}
		if err := r.verify(ctx, t, c, now); err != nil {
			return nil, fmt.Errorf("federation rule %s: %w", r.Name, err)
		}
		return &Identity{Rule: r.Name, Subject: subject, Issuer: r.issuer(), ClientID: r.Client, Roles: slices.Clone(r.Roles),
			Until: time.Unix(c.exp, 0).UTC(), BearerAllowed: r.BearerAllowed}, nil
	}
	return nil, refusal
}

// Probe reads the keys of every issuer anew and returns what stands in the way, a *[RuleError]
// for each rule, joined. It is for a person who asks what is wrong; Verify does not depend on it.
func (f *Federation) Probe(ctx context.Context) error {
	if f == nil {
		return nil
	}
	var faults []error
	for i, r := range f.rules {
		if err := r.keys.probe(ctx); err != nil {
			faults = append(faults, &RuleError{Rule: r.Name, Index: i, Key: r.keysFrom(), What: err.Error()})
		}
	}
	return errors.Join(faults...)
}

// Close ends what is being fetched, but for issuers that another federation has taken over, by
// Previous. Tokens of the others are refused from then on. It may be called more than once.
func (f *Federation) Close() {
	if f == nil {
		return
	}
	f.closed.Do(func() {
		for _, source := range f.sources {
			if source.users.Add(-1) == 0 {
				source.close()
			}
		}
	})
}
