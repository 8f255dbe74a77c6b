package identity_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sallyport/identity"
	"sallyport/identity/identitytest"
	"sallyport/identity/jose"
)

var start = time.Unix(1_800_000_000, 0)

// thumb is a thumbprint of nothing in particular (RFC 9449 §6.1).
const thumb = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"

func at(now time.Time) func() time.Time { return func() time.Time { return now } }

func TestHostileTokensAreRefused(t *testing.T) {
	i := identitytest.New(t)
	for _, h := range i.Hostile() {
		who, err := i.Verifier.Verify(t.Context(), &identity.Request{Header: identitytest.Header(h.Token)})
		if who != nil || !errors.Is(err, h.Err) || err.Error() != h.Message {
			t.Errorf("%s: %v, %v; want %v, %q", h.Name, who, err, h.Err, h.Message)
		}
	}
	if who, err := i.Verifier.Verify(t.Context(), &identity.Request{Header: identitytest.Header(i.Mint("alice"))}); err != nil || who.Subject != "alice" {
		t.Errorf("a good token: %+v, %v", who, err)
	}
}

func TestClaimsAreRefusedWithAReason(t *testing.T) {
	i := identitytest.At(t, at(start))
	now := start.Unix()
	type m = map[string]any
	act := func(depth int) any {
		var a any
		for d := range depth {
			next := m{"sub": "agent" + strconv.Itoa(d)}
			if a != nil {
				next["act"] = a
			}
			a = next
		}
		return a
	}
	for _, tt := range []struct {
		name    string
		changes m
		is      error
		want    string
	}{
		{"ends now", m{"iat": now - 60, "exp": now}, identity.ErrExpired, "token has expired"},
		{"ended in 1970", m{"iat": 1, "exp": 2}, identity.ErrExpired, "token has expired"},
		{"lives 15m and 1s", m{"exp": now + 901}, identity.ErrLifetime, "token lives too long: exp − iat must be from 1s to 15m"},
		{"lives until 9999", m{"exp": 253402300799}, identity.ErrLifetime, "token lives too long: exp − iat must be from 1s to 15m"},
		{"ends as it begins", m{"exp": now}, identity.ErrLifetime, "token lives too long: exp − iat must be from 1s to 15m"},
		{"ends before it begins", m{"exp": now - 1}, identity.ErrLifetime, "token lives too long: exp − iat must be from 1s to 15m"},
		{"issued in the future", m{"iat": now + 31, "exp": now + 60}, identity.ErrNotYet, "token is not valid yet"},
		{"not before a second", m{"nbf": now + 1}, identity.ErrNotYet, "token is not valid yet"},
		{"two audiences", m{"aud": []string{identitytest.Audience, "https://other.example"}}, identity.ErrAudience, "wrong audience"},
		{"ours twice", m{"aud": []string{identitytest.Audience, identitytest.Audience}}, identity.ErrAudience, "wrong audience"},
		{"no audience in the list", m{"aud": []string{}}, identity.ErrClaim, "bad claim: aud is empty"},
		{"empty audience", m{"aud": ""}, identity.ErrClaim, "bad claim: aud is empty"},
		{"empty audience beside ours", m{"aud": []string{"", identitytest.Audience}}, identity.ErrClaim, "bad claim: aud has an element that is empty"},
		{"audience a number", m{"aud": 7}, identity.ErrClaim, "bad claim: aud is not a list of strings"},
		{"audience with a slash more", m{"aud": identitytest.Audience + "/"}, identity.ErrAudience, "wrong audience"},
		{"audience of a server", m{"aud": identitytest.Audience + "/files"}, identity.ErrAudience, "wrong audience"},
		{"issuer with a slash more", m{"iss": identitytest.URL + "/"}, identity.ErrIssuer, "wrong issuer"},
		{"issuer a list", m{"iss": []string{identitytest.URL}}, identity.ErrClaim, "bad claim: iss is not a string"},
		{"no issuer", m{"iss": nil}, identity.ErrClaim, "bad claim: iss is missing"},
		{"no audience", m{"aud": nil}, identity.ErrClaim, "bad claim: aud is missing"},
		{"no subject", m{"sub": nil}, identity.ErrClaim, "bad claim: sub is missing"},
		{"no client", m{"client_id": nil}, identity.ErrClaim, "bad claim: client_id is missing"},
		{"no id", m{"jti": nil}, identity.ErrClaim, "bad claim: jti is missing"},
		{"no iat", m{"iat": nil}, identity.ErrClaim, "bad claim: iat is missing"},
		{"no exp", m{"exp": nil}, identity.ErrClaim, "bad claim: exp is missing"},
		{"no roles", m{"roles": nil}, identity.ErrClaim, "bad claim: roles is missing"},
		{"empty subject", m{"sub": ""}, identity.ErrClaim, "bad claim: sub is empty"},
		{"NUL in the subject", m{"sub": "alice\x00admin"}, identity.ErrClaim, "bad claim: sub holds a control character"},
		{"line end in the subject", m{"sub": "alice\nadmin"}, identity.ErrClaim, "bad claim: sub holds a control character"},
		{"subject a number", m{"sub": 1}, identity.ErrClaim, "bad claim: sub is not a string"},
		{"empty grant", m{"grant": ""}, identity.ErrClaim, "bad claim: grant is empty"},
		{"grant an object", m{"grant": m{}}, identity.ErrClaim, "bad claim: grant is not a string"},
		{"task a list", m{"task": []string{"T"}}, identity.ErrClaim, "bad claim: task is not a string"},
		{"roles a string", m{"roles": "admin"}, identity.ErrClaim, "bad claim: roles is not a list of strings"},
		{"roles of nothing", m{"roles": []string{}}, identity.ErrClaim, "bad claim: roles is empty"},
		{"an empty role", m{"roles": []string{"reader", ""}}, identity.ErrClaim, "bad claim: roles has an element that is empty"},
		{"a role that is a list", m{"roles": []any{[]string{"admin"}}}, identity.ErrClaim, "bad claim: roles is not a list of strings"},
		{"exp a string", m{"exp": strconv.FormatInt(now+60, 10)}, identity.ErrClaim, "bad claim: exp is not a whole number of seconds"},
		{"exp a fraction", m{"exp": float64(now) + 60.5}, identity.ErrClaim, "bad claim: exp is not a whole number of seconds"},
		{"exp beyond 9999", m{"exp": 253402300800}, identity.ErrClaim, "bad claim: exp is not a whole number of seconds"},
		{"exp beyond int64", m{"exp": 1e19}, identity.ErrClaim, "bad claim: exp is not a whole number of seconds"},
		{"iat negative", m{"iat": -1}, identity.ErrClaim, "bad claim: iat is not a whole number of seconds"},
		{"nbf a string", m{"nbf": "0"}, identity.ErrClaim, "bad claim: nbf is not a whole number of seconds"},
		{"five actors", m{"act": act(5)}, identity.ErrClaim, "bad claim: act has more than 4 actors"},
		{"an actor without name", m{"act": m{"iss": "x"}}, identity.ErrClaim, "bad claim: act has an actor without sub"},
		{"an actor that is a string", m{"act": "agent"}, identity.ErrClaim, "bad claim: act has an actor without sub"},
		{"an actor with an empty name", m{"act": m{"sub": ""}}, identity.ErrClaim, "bad claim: act has an actor whose sub is empty"},
		{"a folded actor", m{"act": m{"sub": "a", "ACT": m{"sub": "b"}}}, identity.ErrDuplicate, ""},
		{"bound to a key", m{"cnf": m{"jkt": thumb}}, identity.ErrProof, "token is bound to a key and the request proves none"},
		{"bound to a certificate", m{"cnf": m{"x5t#S256": thumb}}, identity.ErrProof, "token is bound to a key and the request proves none"},
		{"bound in an unknown way", m{"cnf": m{"new": thumb}}, identity.ErrClaim, "bad claim: cnf binds the token in a way that is not known here"},
		{"bound in an unknown way beside a known", m{"cnf": m{"jkt": thumb, "jwk": m{}}}, identity.ErrClaim, "bad claim: cnf binds the token in a way that is not known here"},
		{"bound to an imitation", m{"cnf": m{"JKT": thumb}}, identity.ErrDuplicate, ""},
		{"bound to no object", m{"cnf": "x"}, identity.ErrClaim, "bad claim: cnf is not an object that names a key"},
		{"bound to nothing", m{"cnf": m{}}, identity.ErrClaim, "bad claim: cnf is not an object that names a key"},
		{"bound to null", m{"cnf": json.RawMessage("null")}, identity.ErrClaim, "bad claim: cnf is not an object that names a key"},
		{"bound to an empty key", m{"cnf": m{"jkt": ""}}, identity.ErrClaim, "bad claim: cnf holds no SHA-256 thumbprint"},
		{"bound to a short key", m{"cnf": m{"jkt": thumb[1:]}}, identity.ErrClaim, "bad claim: cnf holds no SHA-256 thumbprint"},
		{"bound to a key with a line end", m{"cnf": m{"jkt": thumb + "\n"}}, identity.ErrClaim, "bad claim: cnf holds no SHA-256 thumbprint"},
		{"bound to a padded key", m{"cnf": m{"jkt": thumb + "="}}, identity.ErrClaim, "bad claim: cnf holds no SHA-256 thumbprint"},
		{"bound to a number", m{"cnf": m{"x5t#S256": 7}}, identity.ErrClaim, "bad claim: cnf holds no SHA-256 thumbprint"},
		{"bound to a key and a bad certificate", m{"cnf": m{"jkt": thumb, "x5t#S256": ""}}, identity.ErrClaim, "bad claim: cnf holds no SHA-256 thumbprint"},
		{"measured nothing", m{"measured": ""}, identity.ErrClaim, "bad claim: measured is empty"},
		{"only EXP", m{"exp": nil, "EXP": now + 60}, identity.ErrDuplicate, ""},
		{"sub with a long s", m{"\u017fub": "admin"}, identity.ErrDuplicate, ""},
	} {
		who, err := i.Verifier.VerifyToken(i.With(i.Claims("alice"), tt.changes))
		if who != nil || !errors.Is(err, tt.is) || tt.want != "" && err.Error() != tt.want {
			t.Errorf("%s: %v, %v; want %v, %q", tt.name, who, err, tt.is, tt.want)
		}
	}
}

func TestClaimsAreTakenAsTheyStand(t *testing.T) {
	i := identitytest.At(t, at(start))
	now := start.Unix()
	who, err := i.Verifier.VerifyToken(i.With(i.Claims("alice", "reader", "writer"), map[string]any{
		"iat": now + 30, "exp": now + 30 + 900, "nbf": now, "aud": []string{identitytest.Audience}, "grant": "gr_1", "task": "T-1", "jti": "j",
		"act": map[string]any{"sub": "agent", "act": map[string]any{"sub": "orchestrator"}}, "team": "red", "n": 9007199254740993,
	}))
	if err != nil {
		t.Fatal(err)
	}
	if who.Subject != "alice" || who.Issuer != identitytest.URL || who.ClientID != "test" || strings.Join(who.Roles, " ") != "reader writer" ||
		strings.Join(who.Actors, " ") != "agent orchestrator" || who.Grant != "gr_1" || who.Task != "T-1" || who.TokenID != "j" || who.Proof != "none" {
		t.Errorf("principal = %+v", who)
	}
	if who.IssuedAt.Unix() != now+30 || who.Expires.Unix() != now+930 {
		t.Errorf("times = %s, %s", who.IssuedAt, who.Expires)
	}
	if s, ok := who.Claims["n"].(interface{ String() string }); !ok || s.String() != "9007199254740993" || who.Claims["team"] != "red" {
		t.Errorf("claims = %v; want each as sent", who.Claims)
	}
}

func TestTypeMayHaveItsFullName(t *testing.T) {
	i := identitytest.New(t)
	for _, tt := range []struct {
		typ  string
		want error
	}{
		{`"typ":"at+jwt",`, nil}, {`"typ":"AT+JWT",`, nil}, {`"typ":"application/at+jwt",`, nil},
		{``, identity.ErrType}, {`"typ":"",`, identity.ErrType}, {`"typ":"JWT",`, identity.ErrType}, {`"typ":"dpop+jwt",`, identity.ErrType},
		{`"typ":"logout+jwt",`, identity.ErrType}, {`"typ":"txntoken+jwt",`, identity.ErrType}, {`"typ":"at+jwt ",`, identity.ErrType},
	} {
		token := i.Sign(`{"alg":"Ed25519",`+tt.typ+`"kid":"`+i.Kid+`"}`, i.Body(i.Claims("alice"), nil))
		if _, err := i.Verifier.VerifyToken(token); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v; want %v", tt.typ, err, tt.want)
		}
	}
}

func TestKeyIsFoundByItsNameAlone(t *testing.T) {
	i := identitytest.New(t)
	for _, kid := range []string{``, `,"kid":""`, `,"kid":"../../dev/null"`, `,"kid":"' OR 1=1 --"`, `,"kid":"` + strings.Repeat("k", 4000) + `"`} {
		token := i.Sign(`{"alg":"EdDSA","typ":"at+jwt"`+kid+`}`, i.Body(i.Claims("alice"), nil))
		if _, err := i.Verifier.VerifyToken(token); !errors.Is(err, identity.ErrUnknownKey) {
			t.Errorf("kid %.30s: %v; want ErrUnknownKey", kid, err)
		}
	}
}

// A source that lists a key without a name must not make kid optional.
func TestTokenNamesItsKey(t *testing.T) {
	i := identitytest.New(t)
	keys := fixed{ByID: map[string]jose.Key{"": i.Keys().ByID[i.Kid]}}
	v, err := identity.NewVerifier(identity.VerifierConfig{Issuer: identitytest.URL, Audience: identitytest.Audience, Keys: &keys})
	if err != nil {
		t.Fatal(err)
	}
	for _, kid := range []string{``, `,"kid":""`} {
		token := i.Sign(`{"alg":"EdDSA","typ":"at+jwt"`+kid+`}`, i.Body(i.Claims("alice"), nil))
		if who, err := v.VerifyToken(token); who != nil || !errors.Is(err, identity.ErrUnknownKey) {
			t.Errorf("kid %q: %v, %v; want ErrUnknownKey", kid, who, err)
		}
	}
}

type fixed identity.KeySet

func (f *fixed) Keys() *identity.KeySet { return (*identity.KeySet)(f) }

func TestTokenStandsInOnePlace(t *testing.T) {
	i := identitytest.New(t)
	tok := i.Mint("alice")
	one := identitytest.Header(tok)
	auth := func(values ...string) http.Header { return http.Header{"Authorization": values} }
	for _, tt := range []struct {
		name  string
		h     http.Header
		query string
		is    error
		want  string
	}{
		{"nothing", http.Header{}, "", identity.ErrMissing, "no token"},
		{"no header at all", nil, "", identity.ErrMissing, "no token"},
		{"a cookie", http.Header{"Cookie": {"access_token=" + tok}}, "", identity.ErrMissing, "no token"},
		{"the proxy's header", http.Header{"Proxy-Authorization": {"Bearer " + tok}}, "", identity.ErrMissing, "no token"},
		{"query alone", http.Header{}, "access_token=" + tok, identity.ErrQueryToken, "token in the query string"},
		{"query beside a good header", one, "a=b&access_token=x", identity.ErrQueryToken, "token in the query string"},
		{"query, escaped", one, "access%5Ftoken=x", identity.ErrQueryToken, "token in the query string"},
		{"query, other case", one, "Access_Token=x", identity.ErrQueryToken, "token in the query string"},
		{"query, semicolon", one, "a=b;access_token=x", identity.ErrQueryToken, "token in the query string"},
		{"query, other name", one, "authorization=Bearer+x", identity.ErrQueryToken, "token in the query string"},
		{"query that cannot be read", one, "%zz=1", identity.ErrQueryToken, "token in the query string, or one that cannot be read"},
		{"two headers", auth("Bearer "+tok, "Bearer "+tok), "", identity.ErrScheme, "not exactly one Authorization header with a Bearer or DPoP token"},
		{"another scheme", auth("Basic " + tok), "", identity.ErrScheme, "not exactly one Authorization header with a Bearer or DPoP token"},
		{"no scheme", auth(tok), "", identity.ErrScheme, "not exactly one Authorization header with a Bearer or DPoP token"},
		{"scheme alone", auth("Bearer "), "", identity.ErrScheme, "not exactly one Authorization header with a Bearer or DPoP token"},
		{"empty", auth(""), "", identity.ErrScheme, "not exactly one Authorization header with a Bearer or DPoP token"},
		{"joined headers", auth("Bearer " + tok + ", Bearer " + tok), "", identity.ErrMalformed, "malformed token: not three parts between two dots"},
		{"two spaces", auth("Bearer  " + tok), "", identity.ErrMalformed, "malformed token: header is not base64url"},
		{"a space after", auth("Bearer " + tok + " "), "", identity.ErrMalformed, "malformed token: signature is not base64url"},
		{"DPoP", auth("DPoP " + tok), "", identity.ErrUnbound, "scheme DPoP with a token that is bound to no such key"},
		{"too long", auth("Bearer " + strings.Repeat("a", 8193)), "", identity.ErrMalformed, "malformed token: longer than 8192 bytes"},
	} {
		who, err := i.Verifier.Verify(t.Context(), &identity.Request{Header: tt.h, RawQuery: tt.query})
		if who != nil || !errors.Is(err, tt.is) || err.Error() != tt.want {
			t.Errorf("%s: %v, %v; want %q", tt.name, who, err, tt.want)
		}
	}
	for _, h := range []http.Header{one, auth("bearer " + tok), auth("BEARER " + tok)} {
		if who, err := i.Verifier.Verify(t.Context(), &identity.Request{Header: h, RawQuery: "cursor=x&server=files"}); err != nil || !who.Valid() {
			t.Errorf("%.7s: %v", h.Get("Authorization"), err)
		}
	}
}

func TestTokenOfTheGreatestLengthIsTaken(t *testing.T) {
	i := identitytest.At(t, at(start))
	claims := i.Claims("alice", "reader")
	claims["jti"] = "one"
	var lengths []int
	for pad := 5700; pad < 5900; pad++ {
		tok := i.With(claims, map[string]any{"pad": strings.Repeat("a", pad)})
		if len(tok) != jose.MaxSize && len(tok) != jose.MaxSize+1 {
			continue
		}
		lengths = append(lengths, len(tok))
		if who, err := i.Verifier.VerifyToken(tok); (err == nil) != (len(tok) == jose.MaxSize) || err != nil && !errors.Is(err, identity.ErrMalformed) {
			t.Errorf("%d bytes: %v, %v", len(tok), who, err)
		}
	}
	if !slices.Contains(lengths, jose.MaxSize) {
		t.Errorf("lengths tried: %v; want %d", lengths, jose.MaxSize)
	}
}

func TestVerifierIsNotMadeWithACheckOff(t *testing.T) {
	i := identitytest.New(t)
	for _, cfg := range []identity.VerifierConfig{
		{Audience: "a", Keys: i}, {Issuer: "i", Keys: i}, {Issuer: "i", Audience: "a"},
	} {
		if v, err := identity.NewVerifier(cfg); v != nil || err == nil || err.Error() != "a token verifier needs an issuer, an audience and keys" {
			t.Errorf("NewVerifier(%+v) = %v, %v", cfg, v, err)
		}
	}
	var zero identity.Verifier
	if who, err := zero.VerifyToken(i.Mint("alice")); who != nil || !errors.Is(err, identity.ErrUnknownKey) {
		t.Errorf("the zero verifier: %v, %v; want ErrUnknownKey", who, err)
	}
	if who, err := zero.VerifyAt(i.Mint("alice"), start); who != nil || err == nil {
		t.Errorf("the zero verifier at a time: %v, %v; want an error", who, err)
	}
}

func TestErrorsHoldNothingOfTheToken(t *testing.T) {
	i := identitytest.At(t, at(start))
	const secret = "s3cretvalue"
	for _, changes := range []map[string]any{
		{"sub": secret, "exp": 1}, {"sub": []string{secret}}, {"roles": []string{secret, ""}}, {"aud": secret}, {"iss": secret}, {"exp": secret}, {"act": map[string]any{"sub": secret + "\n"}},
	} {
		if _, err := i.Verifier.VerifyToken(i.With(i.Claims("alice"), changes)); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%v: error %q; want one without the value", changes, err)
		}
	}
}
