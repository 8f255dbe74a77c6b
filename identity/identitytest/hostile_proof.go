package identitytest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"sallyport/identity"
	"sallyport/identity/pop"
)

// HostileProof is what must be refused in the DPoP headers of a request that is good otherwise.
type HostileProof struct {
	Name    string
	First   string   // a good proof to be sent before, which is accepted; empty: none
	Proofs  []string // values of DPoP headers
	Err     error    // what the verifier says, by errors.Is
	Message string   // how it begins, what the operator reads
}

type m = map[string]any

// HostileProofs returns one of each kind. w is what a good proof would prove, by a key that the
// token is bound to, nonce the server's current one, and now its time. Where w has no token, as at
// a token endpoint, any key and any ath are good there, and those kinds are left out.
func HostileProofs(t testing.TB, k *ProofKey, w pop.Want, nonce string, now time.Time) []HostileProof {
	t.Helper()
	h := hostile{k: k, w: w, nonce: nonce, now: now}
	h.forms()
	h.keys(NewProofKey(t))
	h.claims()
	h.times()
	h.nonces()
	return h.all
}

type hostile struct {
	k     *ProofKey
	w     pop.Want
	nonce string
	now   time.Time
	all   []HostileProof
}

const refused = "proof of possession refused: "

// add adds a proof that is refused for what it is.
func (h *hostile) add(name, proof, message string) {
	h.all = append(h.all, HostileProof{Name: name, Proofs: []string{proof}, Err: pop.ErrProof, Message: refused + message})
}

func (h *hostile) good() m         { return h.k.Claims(h.w, h.nonce, h.now) }
func (h *hostile) sound() string   { return h.k.With(h.good(), nil) }
func (h *hostile) text() string    { return h.k.body(h.good(), nil) }
func (h *hostile) with(c m) string { return h.k.With(h.good(), c) }

// header signs good claims under a changed header.
func (h *hostile) header(c m) string { return h.k.Sign(h.k.header(c), h.text()) }

func (h *hostile) forms() {
	const notThree = "malformed token: not three parts between two dots"
	h.all = append(h.all,
		HostileProof{Name: "no DPoP header", Err: identity.ErrProof, Message: "token is bound to a key and the request proves none"},
		HostileProof{Name: "two DPoP headers", Proofs: []string{h.sound(), h.sound()}, Err: identity.ErrProof,
			Message: "token is bound to a key and the request proves none: more than one DPoP header"})
	h.add("two proofs in one header", h.sound()+", "+h.sound(), notThree)
	h.add("empty", "", notThree)
	h.add("a word", "proof", notThree)
	if h.w.Token != "" {
		h.add("the token itself", h.w.Token, "token header not allowed: no jwk")
	}
	h.add("too long", strings.Repeat("a", 8193), "malformed token: longer than 8192 bytes")
	h.add("no type", h.header(m{"typ": nil}), "its type is not dpop+jwt")
	h.add("type of a token", h.header(m{"typ": "at+jwt"}), "its type is not dpop+jwt")
	h.add("type of anything", h.header(m{"typ": "JWT"}), "its type is not dpop+jwt")
	h.add("critical extension", h.header(m{"crit": []string{"exp"}}), "token header not allowed: crit")
	h.add("key by reference", h.header(m{"jku": "http://127.0.0.1:1/keys"}), "token header not allowed: jku")
	h.add("certificate in the header", h.header(m{"x5c": []string{"AA"}}), "token header not allowed: x5c")
	h.add("type twice", h.k.Sign(`{"typ":"JWT",`+h.k.header(nil)[1:], h.text()), "token with two meanings: header: ")
	h.add("claim twice", h.k.Sign(h.k.header(nil), `{"htm":"GET",`+h.text()[1:]), "token with two meanings: claims: ")
	h.add("claim in another case", h.k.Sign(h.k.header(nil), `{"HTM":"GET",`+h.text()[1:]), "token with two meanings: claims: ")
	h.add("claims a list", h.k.Sign(h.k.header(nil), `[]`), "malformed token: claims is not a JSON object")
}

func (h *hostile) keys(other *ProofKey) {
	const badKey, noMatch = "its key is not a public key for ES256 or EdDSA", "signature algorithm not allowed for the key"
	jwk := func(c m) string { return h.header(m{"jwk": h.k.public(c)}) }
	none := h.k.header(m{"alg": "none"})
	h.add("alg none", h.header(m{"alg": "none"}), noMatch)
	h.add("alg none, unsigned", enc(none)+"."+enc(h.text())+".", "malformed token: signature is empty")
	h.add("a symmetric key", h.mac(m{"kty": "oct", "k": enc("secret")}), "token header not allowed: jwk holds a secret")
	h.add("a symmetric key that is not there", h.mac(m{"kty": "oct"}), badKey)
	h.add("MAC under the public key", h.mac(h.k.public(nil)), noMatch)
	h.add("alg of another key", h.header(m{"alg": "EdDSA"}), noMatch)
	h.add("an RSA key", h.header(m{"alg": "RS256", "jwk": m{"kty": "RSA", "n": "AQAB", "e": "AQAB"}}), badKey)
	h.add("another curve", jwk(m{"crv": "P-384"}), badKey)
	h.add("a point beside the curve", jwk(m{"y": h.k.jwk.X}), badKey)
	h.add("a short point", jwk(m{"x": "AQAB"}), badKey)
	h.add("a key for encryption", jwk(m{"use": "enc"}), badKey)
	h.add("a private key", jwk(m{"d": enc(strings.Repeat("d", 32))}), "token header not allowed: jwk holds a secret")
	h.add("no key", h.header(m{"jwk": nil, "kid": h.k.JKT}), "token header not allowed: no jwk")
	h.add("a key that is a string", h.header(m{"jwk": h.k.JKT}), "token header not allowed: jwk is not a key")
	h.add("key type twice", h.k.Sign(strings.Replace(h.k.header(nil), `"kty"`, `"kty":"oct","kty"`, 1), h.text()), "token with two meanings: header: ")
	h.add("a key that did not sign", other.Sign(h.k.header(nil), h.text()), "signature does not verify")
	forged := []byte(h.sound())
	if at := len(forged) - 20; forged[at] == 'A' {
		forged[at] = 'B'
	} else {
		forged[at] = 'A'
	}
	h.add("forged", string(forged), "signature does not verify")
	if h.w.Token != "" {
		h.add("another key", other.With(h.good(), nil), "it is by another key than the token's")
	}
}

// mac makes a proof "signed" by a MAC whose secret anybody has.
func (h *hostile) mac(jwk m) string {
	input := enc(h.k.header(m{"alg": "HS256", "jwk": jwk})) + "." + enc(h.text())
	key, err := json.Marshal(jwk)
	if err != nil {
		h.k.t.Fatal(err)
	}
	if jwk["k"] != nil {
		key = []byte("secret")
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(input))
	return input + "." + enc(string(mac.Sum(nil)))
}

func (h *hostile) claims() {
	const htm, htu, ath = "htm is another method than the request's",
		"htu is another URL than the request's; clients must use the configured publicURL", "ath is not the hash of the request's token"
	base, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(h.w.URL, "https://"), "http://"), "/")
	scheme, _, _ := strings.Cut(h.w.URL, "://")
	h.add("no method", h.with(m{"htm": nil}), "htm is missing")
	h.add("method a list", h.with(m{"htm": []string{h.w.Method}}), "htm is not a string")
	h.add("another method", h.with(m{"htm": "DELETE"}), htm)
	h.add("method in small letters", h.with(m{"htm": strings.ToLower(h.w.Method)}), htm)
	h.add("no URL", h.with(m{"htu": nil}), "htu is missing")
	h.add("empty URL", h.with(m{"htu": ""}), htu)
	h.add("another host", h.with(m{"htu": "https://other.example/mcp"}), htu)
	h.add("another port", h.with(m{"htu": scheme + "://127.0.0.1:1/mcp"}), htu)
	h.add("another scheme", h.with(m{"htu": "ftp" + strings.TrimPrefix(h.w.URL, scheme)}), htu)
	h.add("another path", h.with(m{"htu": h.w.URL + "/other"}), htu)
	h.add("a slash more", h.with(m{"htu": h.w.URL + "/"}), htu)
	h.add("a path alone", h.with(m{"htu": "/mcp"}), htu)
	h.add("no path", h.with(m{"htu": scheme + "://" + base}), htu)
	h.add("an escaped path", h.with(m{"htu": strings.Replace(h.w.URL, "/m", "/%6d", 1) + "%2f"}), htu)
	h.add("a query", h.with(m{"htu": h.w.URL + "?a=b"}), htu)
	h.add("an empty query", h.with(m{"htu": h.w.URL + "?"}), htu)
	h.add("a fragment", h.with(m{"htu": h.w.URL + "#"}), htu)
	h.add("a user", h.with(m{"htu": strings.Replace(h.w.URL, "://", "://user@", 1)}), htu)
	h.add("no id", h.with(m{"jti": nil}), "jti is missing")
	h.add("empty id", h.with(m{"jti": ""}), "jti is not of 1 to 128 bytes")
	h.add("huge id", h.with(m{"jti": strings.Repeat("j", 129)}), "jti is not of 1 to 128 bytes")
	h.add("id a number", h.with(m{"jti": 7}), "jti is not a string")
	if h.w.Token == "" {
		return
	}
	h.add("no hash of the token", h.with(m{"ath": nil}), ath)
	h.add("empty hash", h.with(m{"ath": ""}), ath)
	h.add("hash of another token", h.with(m{"ath": enc(strings.Repeat("h", 32))}), ath)
	h.add("the token for its hash", h.with(m{"ath": h.w.Token}), ath)
	h.add("hash a number", h.with(m{"ath": 7}), "ath is not a string")
}

func (h *hostile) times() {
	const clocks = "; set the clocks of both machines by NTP"
	now := h.now.Unix()
	h.add("no time", h.with(m{"iat": nil}), "iat is missing")
	h.add("time a string", h.with(m{"iat": "1800000000"}), "iat is not a whole number of seconds")
	h.add("time a fraction", h.with(m{"iat": json.RawMessage("1800000000.5")}), "iat is not a whole number of seconds")
	h.add("time negative", h.with(m{"iat": -1}), "iat is not a whole number of seconds")
	h.add("time beyond reason", h.with(m{"iat": json.RawMessage("1e18")}), "iat is not a whole number of seconds")
	h.add("clock an hour behind", h.with(m{"iat": now - 3600}), "it was made 1h0m0s ago"+clocks)
	h.add("clock an hour ahead", h.with(m{"iat": now + 3600}), "it was made 1h0m0s in the future"+clocks)
	h.add("too old", h.with(m{"iat": now - 75}), "it was made 1m15s ago"+clocks)
	h.add("in the future", h.with(m{"iat": now + 20}), "it was made 20s in the future"+clocks)
	h.add("from 1970", h.with(m{"iat": 0}), "it was made ")
	h.add("until 9999", h.with(m{"iat": 253402300799}), "it was made 876000h0m0s in the future"+clocks)
}

func (h *hostile) nonces() {
	ask := func(name string, changes m) {
		h.all = append(h.all, HostileProof{Name: name, Proofs: []string{h.with(changes)}, Err: pop.ErrNonce,
			Message: "proof of possession needs the gateway's current nonce"})
	}
	ask("no nonce", m{"nonce": nil})
	ask("empty nonce", m{"nonce": ""})
	ask("forged nonce", m{"nonce": enc(strings.Repeat("n", 16))})
	ask("half a nonce", m{"nonce": h.nonce[:len(h.nonce)/2]})
	h.add("nonce a number", h.with(m{"nonce": 7}), "nonce is not a string")
	once := h.sound()
	same := h.good()
	h.all = append(h.all,
		HostileProof{Name: "sent twice", First: once, Proofs: []string{once}, Err: pop.ErrReplay, Message: "proof of possession was used before"},
		HostileProof{Name: "another proof with the same id", First: h.k.With(same, nil), Proofs: []string{h.k.With(same, m{"iat": h.now.Unix() - 1})},
			Err: pop.ErrReplay, Message: "proof of possession was used before"})
}
