package jose

import (
	"errors"
	"testing"
)

func TestKeyInTheHeaderIsTakenOnlyWhereAskedFor(t *testing.T) {
	const key = `{"kty":"EC","crv":"P-256","x":"` + p256X + `","y":"` + p256Y + `"}`
	compact := b64.EncodeToString([]byte(`{"alg":"ES256","typ":"dpop+jwt","jwk":`+key+`}`)) + "." + b64.EncodeToString([]byte(`{}`)) + ".AA"
	if _, err := Parse(compact); !errors.Is(err, ErrHeader) || err.Error() != "token header not allowed: jwk" {
		t.Errorf("Parse: %v; want ErrHeader", err)
	}
	token, k, err := ParseEmbedded(compact)
	if err != nil || k.X != p256X || k.Y != p256Y || token.Typ != "dpop+jwt" {
		t.Errorf("ParseEmbedded = %+v, %+v, %v", token, k, err)
	}
}

func TestKeyInTheHeaderHoldsNoSecret(t *testing.T) {
	for _, name := range []string{"d", "k", "p", "q", "dp", "dq", "qi", "oth"} {
		compact := b64.EncodeToString([]byte(`{"alg":"ES256","jwk":{"kty":"EC","`+name+`":"AA"}}`)) + "." + b64.EncodeToString([]byte(`{}`)) + ".AA"
		if _, _, err := ParseEmbedded(compact); !errors.Is(err, ErrHeader) || err.Error() != "token header not allowed: jwk holds a secret" {
			t.Errorf("%s: %v; want ErrHeader", name, err)
		}
	}
}

func TestP256IsMadeOfAPointAlone(t *testing.T) {
	point := make([]byte, 65)
	for _, bad := range [][]byte{nil, point, point[:64], append([]byte{4}, point...)} {
		if k := NewP256(bad); k.Kty != "" {
			t.Errorf("NewP256 of %d bytes = %+v; want the zero JWK", len(bad), k)
		}
	}
	point[0] = 4
	if k := NewP256(point); k.Kty != "EC" || k.Crv != "P-256" || len(k.X) != 43 || k.Thumbprint() == "" {
		t.Errorf("NewP256 = %+v", k)
	}
}
