package mint

import (
	"errors"
	"testing"

	"sallyport/identity"
	"sallyport/identity/jose"
)

// An assertion must be worth nothing at the gateway itself, even one for its own audience.
func TestAnAssertionIsNoAccessToken(t *testing.T) {
	c := newClock()
	keys := open(t, keyDir(t), c.now)
	i, v := issuer(keys, c.now), verifier(t, keys, c.now)
	for _, aud := range []string{"https://login.example.com/token", url + "/mcp"} {
		assertion, err := i.Assert("dev", aud)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.VerifyToken(assertion); !errors.Is(err, identity.ErrType) {
			t.Errorf("for %s: %v; want it refused by its type", aud, err)
		}
	}
}

func TestAnAssertionSaysWhoAndForWhomForAMinute(t *testing.T) {
	c := newClock()
	keys := open(t, keyDir(t), c.now)
	assertion, err := issuer(keys, c.now).Assert("dev", "https://login.example.com/token")
	if err != nil {
		t.Fatal(err)
	}
	token, err := jose.Parse(assertion)
	if err != nil {
		t.Fatal(err)
	}
	claims := string(token.Claims)
	const want = `{"iss":"http://127.0.0.1:8080","aud":"https://login.example.com/token","sub":"dev","iat":1800000000,"exp":1800000060,"jti":"`
	if len(claims) < len(want) || claims[:len(want)] != want {
		t.Errorf("claims %s; want %s…", claims, want)
	}
	for subject, aud := range map[string]string{"": "https://x/", "dev": ""} {
		if _, err := issuer(keys, c.now).Assert(subject, aud); err == nil {
			t.Errorf("an assertion for subject %q, audience %q", subject, aud)
		}
	}
}
