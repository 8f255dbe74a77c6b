package config

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sallyport/identity"
	"sallyport/identity/grant"
	"sallyport/identity/identitytest"
	"sallyport/identity/mint"
)

// longest is the cap that no configuration may raise. It is written out here on purpose.
const longest = 15 * time.Minute

// somewhere is a configuration in which every key has its place.
func somewhere() map[string]any {
	return map[string]any{
		"mcpServers": map[string]any{"a": map[string]any{"url": "http://127.0.0.1:9000/mcp"}},
		"identity": map[string]any{
			"local":      []any{map[string]any{"user": "0", "roles": []any{"reader"}}},
			"federation": []any{map[string]any{"name": "f", "issuer": "https://issuer.example", "audience": "a", "subject": "f:{sub}", "require": map[string]any{"sub": "x"}, "roles": []any{"reader"}}},
		},
	}
}

// put sets the key at a dotted path.
func put(tree any, path []string, value any) {
	if list, ok := tree.([]any); ok {
		put(list[0], path[1:], value)
		return
	}
	at := tree.(map[string]any)
	name := path[0]
	if name == "*" {
		name = "a"
	}
	if len(path) == 1 {
		at[name] = value
		return
	}
	if at[name] == nil {
		at[name] = map[string]any{}
	}
	put(at[name], path[1:], value)
}

// anyDuration is one that somebody might write who wants tokens that last.
var anyDuration = rapid.OneOf(soundDuration, soundDuration, rapid.SampledFrom([]string{"15m", "15m1s", "16m", "24h", "8760h", "2562047h", "0s", "-1s", "900001ms", "1000000000000ns", "∞", "15 m"}),
	rapid.Map(rapid.Int64(), func(n int64) string { return time.Duration(n).String() }))

var soundDuration = rapid.Map(rapid.IntRange(1, 900), func(n int) string { return strconv.Itoa(n) + "s" })

// anyValue is a value that a file may have for a key.
func anyValue(of Field) *rapid.Generator[any] {
	texts := rapid.OneOf(rapid.SampledFrom([]string{"http://127.0.0.1:8080", "https://gateway.example", "127.0.0.1:0", "grant", "reader", ""}), rapid.String())
	alike := map[string]*rapid.Generator[any]{
		"duration":        anyDuration.AsAny(),
		"size":            rapid.OneOf(rapid.Int64().AsAny(), rapid.SampledFrom([]string{"4MiB", "-1", "9EiB"}).AsAny()),
		"number":          rapid.Int64().AsAny(),
		"true or false":   rapid.Bool().AsAny(),
		"list of texts":   rapid.SliceOfN(texts, 0, 3).AsAny(),
		"list of paths":   rapid.SliceOfN(texts, 0, 3).AsAny(),
		"names and texts": rapid.MapOfN(texts, texts, 0, 3).AsAny(),
	}[of.Type]
	if alike == nil {
		alike = texts.AsAny()
	}
	if strings.Contains(strings.ToLower(of.GoName), "role") {
		alike = rapid.OneOf(alike, rapid.Just([]string{"reader"}).AsAny())
	}
	return rapid.OneOf(alike, alike, alike, anyDuration.AsAny(), rapid.Int64().AsAny())
}

// capRig is where tokens are minted under a configuration.
type capRig struct {
	keys   *mint.Keyring
	file   string // of the key
	grants *grant.Registry
	minted int
}

func newCapRig(t *testing.T) *capRig {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	keys, err := mint.OpenKeyring(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.jwk"))
	if err != nil || len(files) != 1 {
		t.Fatalf("keys %v, %v", files, err)
	}
	store := grant.NewMemory()
	grants, err := grant.NewRegistry(t.Context(), store, grant.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = grants.Close()
		_ = store.Close() // it keeps nothing
	})
	return &capRig{keys: keys, file: files[0], grants: grants}
}

// TestNoConfigurationRaisesTheCap loads configurations with random values in any keys and
// variables. Where one is taken, whatever is asked for under it, no token lives longer than
// fifteen minutes, and none that does is accepted.
func TestNoConfigurationRaisesTheCap(t *testing.T) {
	rig := newCapRig(t)
	fields := Fields()
	rapid.Check(t, func(rt *rapid.T) {
		tree, env := somewhere(), map[string]string{"HOME": "/home/none"}
		for range rapid.IntRange(0, 3).Draw(rt, "keys") {
			f := rapid.SampledFrom(fields).Draw(rt, "key")
			if f.Env != "" && rapid.Bool().Draw(rt, "by environment") {
				env[f.Env] = rapid.OneOf(anyDuration, rapid.String()).Draw(rt, f.Env)
			} else if f.Path != "" {
				put(tree, strings.Split(f.Path, "."), anyValue(f).Draw(rt, f.Path))
			}
		}
		// The key that could do it most easily is there each time.
		if ttl := anyDuration.Draw(rt, "tokenTTL"); rapid.Bool().Draw(rt, "tokenTTL by environment") {
			env["SALLYPORT_TOKEN_TTL"] = ttl
		} else {
			put(tree, []string{"identity", "tokenTTL"}, ttl)
		}
		text, err := json.Marshal(tree)
		if err != nil {
			rt.Fatal(err)
		}
		if cfg, err := Preview("/srv/sallyport.yaml", text, env); err == nil {
			rig.mint(t, rt, cfg)
		}
	})
	if rig.minted == 0 {
		t.Error("no configuration was taken, or no token minted under any; the test proves nothing")
	}
}

// mint asks for tokens in every way under one configuration.
func (rig *capRig) mint(t *testing.T, rt *rapid.T, cfg *Config) {
	issuer, err := cfg.Issuer(rig.keys)
	if err != nil {
		return // of tokens that are for no URL there are none
	}
	authority, err := mint.NewAuthority(mint.AuthorityConfig{Issuer: issuer, Grants: rig.grants, RequireProof: cfg.requireProof,
		Record: func(context.Context, mint.Act) error { return nil }})
	if err != nil {
		rt.Fatal(err)
	}
	operator := mint.Asker{Name: "o", Subject: "alice", ClientID: "test", AnyRole: true, Operator: true, Via: "operator"}
	key := rapid.SampledFrom([]string{"", "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}).Draw(rt, "key")
	g, err := authority.Grant(t.Context(), operator, mint.Ask{Roles: []string{"reader"}, TTL: 24 * time.Hour, JKT: key})
	if err != nil {
		return // requireProof without a key
	}
	for _, ttl := range []time.Duration{0, longest, longest + time.Second, 24 * time.Hour, time.Duration(rapid.Int64().Draw(rt, "asked"))} {
		shown := operator
		shown.Until = rapid.SampledFrom([]time.Time{{}, time.Now().Add(time.Hour), time.Now().Add(1e6 * time.Hour)}).Draw(rt, "until")
		token, _, err := authority.Token(t.Context(), shown, mint.TokenAsk{Grant: g.ID, TTL: ttl, JKT: key})
		if err != nil {
			continue
		}
		rig.minted++
		if life := lifeOf(rt, token); life <= 0 || life > longest {
			rt.Fatalf("a token that lives %v, asked for as %v", life, ttl)
		}
	}
	v, err := identity.NewVerifier(identity.VerifierConfig{Issuer: cfg.PublicURL, Audience: cfg.Audience(), Keys: rig.keys})
	if err != nil {
		rt.Fatal(err)
	}
	thief := identitytest.Stolen(t, cfg.PublicURL, rig.file, g.ID, time.Now)
	if _, err := v.VerifyAt(thief.LongLived(), time.Now()); !errors.Is(err, identity.ErrLifetime) {
		rt.Fatalf("a token of sixteen minutes: %v; want %v", err, identity.ErrLifetime)
	}
	if _, err := v.VerifyAt(thief.Mint("alice"), time.Now()); err != nil {
		rt.Fatalf("a token of five minutes: %v", err)
	}
}

func lifeOf(rt *rapid.T, token string) time.Duration {
	var claims struct{ Iat, Exp int64 }
	body, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err == nil {
		err = json.Unmarshal(body, &claims)
	}
	if err != nil {
		rt.Fatal(err)
	}
	return time.Duration(claims.Exp-claims.Iat) * time.Second
}
