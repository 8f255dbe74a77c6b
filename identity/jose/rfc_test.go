package jose

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
)

// RFC 8037 appendix A.
const (
	rfc8037Private = `{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	rfc8037Token   = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)

// RFC 7515 appendix A. The claims of A.1 and A.3 have line ends in them, as printed there.
const (
	rfc7515A1Secret = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
	rfc7515Claims   = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
	rfc7515A1       = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." + rfc7515Claims + ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	rfc7515A3       = "eyJhbGciOiJFUzI1NiJ9." + rfc7515Claims + ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
	rfc7515A3Key    = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}`
	rfc7515A5       = "eyJhbGciOiJub25lIn0." + rfc7515Claims + "."
)

func key(t testing.TB, doc string) Key {
	t.Helper()
	jwk, err := ParseJWK([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	k, err := jwk.Key()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestRFC8037(t *testing.T) {
	tok, err := parseJWS(rfc8037Token, refusedHeaders)
	if err != nil {
		t.Fatal(err)
	}
	if err := tok.Verify(key(t, rfc8037Private)); err != nil || string(tok.Claims) != "Example of Ed25519 signing" {
		t.Errorf("A.4: %q, %v; want it verified", tok.Claims, err)
	}
	jwk, err := ParseJWK([]byte(rfc8037Private))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := jwk.Thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"; got != want {
		t.Errorf("A.3: thumbprint %s; want %s", got, want)
	}
	if _, err := Parse(rfc8037Token); !errors.Is(err, ErrMalformed) {
		t.Errorf("a payload that is not JSON: %v; want ErrMalformed", err)
	}
}

func TestRFC7515ES256VerifiesWithItsKeyAlone(t *testing.T) {
	tok, err := Parse(rfc7515A3)
	if err != nil {
		t.Fatal(err)
	}
	if err := tok.Verify(key(t, rfc7515A3Key)); err != nil {
		t.Errorf("A.3: %v; want it verified", err)
	}
	if err := tok.Verify(key(t, rfc8037Private)); !errors.Is(err, ErrAlgorithm) {
		t.Errorf("A.3 with an Ed25519 key: %v; want ErrAlgorithm", err)
	}
	if err := tok.Verify(Key{}); !errors.Is(err, ErrAlgorithm) {
		t.Errorf("A.3 with the zero key: %v; want ErrAlgorithm", err)
	}
}

func TestRFC7515MACAndUnsecuredAreRefused(t *testing.T) {
	secret, err := decode(rfc7515A1Secret)
	if err != nil {
		t.Fatal(err)
	}
	input, sig, _ := cutLast(rfc7515A1)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	if b64.EncodeToString(mac.Sum(nil)) != sig {
		t.Fatal("the vector of A.1 is not the one in the RFC")
	}
	tok, err := Parse(rfc7515A1)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []Key{key(t, rfc7515A3Key), key(t, rfc8037Private), {Alg: "HS256", Public: secret}} {
		if err := tok.Verify(k); !errors.Is(err, ErrAlgorithm) {
			t.Errorf("A.1 with a key for %s: %v; want ErrAlgorithm", k.Alg, err)
		}
	}
	if _, err := Parse(rfc7515A5); !errors.Is(err, ErrMalformed) || err.Error() != "malformed token: signature is empty" {
		t.Errorf("A.5: %v; want the empty signature refused", err)
	}
}

func cutLast(token string) (input, sig string, ok bool) {
	i := strings.LastIndexByte(token, '.')
	return token[:max(i, 0)], token[i+1:], i >= 0
}
