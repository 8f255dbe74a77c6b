package jose

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/corpora"
)

// Why vectors that are valid by the letter are refused here.
const (
	noMAC    = "HMAC: who can verify could sign"
	noP521   = "P-521: EC keys are of P-256"
	noLong   = "RSA with SHA-384 or SHA-512: RS256 and PS256 are what issuers use"
	noOther  = "the token's algorithm is not the key's"
	noNobody = "an empty payload is no token"
)

// The valid vectors of each file that are refused on purpose, by tcId.
var refusedOnPurpose = map[string]map[string][]int{
	"json_web_signature_test.json": {
		noMAC:    {1, 348, 352, 357, 358, 359, 372, 373, 376, 377},
		noP521:   {347, 351},
		noLong:   {264, 265, 266, 267, 268, 269, 270, 271, 320, 321, 322, 323, 325, 326, 327, 328},
		noOther:  {346, 350}, // a token of PS384, a key for PS256
		noNobody: {259, 272},
	},
	"json_web_crypto_test.json": {noMAC: {1, 48}},
	"json_web_key_test.json":    {noMAC: {2, 13, 14, 15}},
}

// acceptedVectors are all that we accept: none of them may be an invalid one.
var acceptedVectors = map[string][]int{
	"json_web_signature_test.json": {18, 33, 260, 261, 262, 263, 273, 274, 275, 287, 288, 345, 349, 378},
	"json_web_crypto_test.json":    {18, 33},
	"json_web_key_test.json":       {5},
}

type jwsFile struct {
	TestGroups []struct {
		Public, Private json.RawMessage
		Tests           []struct {
			TcID    int `json:"tcId"`
			JWS     json.RawMessage
			Result  string
			Comment string
		}
	} `json:"testGroups"`
}

func TestWycheproofAcceptsNoInvalidTokenOrKey(t *testing.T) {
	for name, vectors := range map[string]int{"json_web_signature_test.json": 401, "json_web_crypto_test.json": 49, "json_web_key_test.json": 26} {
		t.Run(name, func(t *testing.T) {
			var file jwsFile
			readCorpus(t, name, &file)
			var accepted, refused []int
			ran := 0
			for _, g := range file.TestGroups {
				key := g.Public
				if key == nil {
					key = g.Private
				}
				for _, tc := range g.Tests {
					if tc.JWS == nil {
						continue // encrypted tokens, which we do not have
					}
					ran++
					err := verifyVector(key, tc.JWS)
					switch {
					case err == nil && tc.Result != "valid":
						t.Errorf("tcId %d (%s): accepted; want refused", tc.TcID, tc.Comment)
					case err == nil:
						accepted = append(accepted, tc.TcID)
					case tc.Result == "valid":
						refused = append(refused, tc.TcID)
					}
				}
			}
			if ran != vectors {
				t.Errorf("ran %d vectors; want %d", ran, vectors)
			}
			slices.Sort(accepted)
			if diff := cmp.Diff(acceptedVectors[name], accepted); diff != "" {
				t.Errorf("accepted (-want +got):\n%s", diff)
			}
			want := slices.Concat(slices.Collect(maps.Values(refusedOnPurpose[name]))...)
			slices.Sort(want)
			slices.Sort(refused)
			if diff := cmp.Diff(want, refused); diff != "" {
				t.Errorf("valid vectors refused (-listed +got):\n%s", diff)
			}
		})
	}
}

// verifyVector treats a key or key set as one that a verifier has been given.
func verifyVector(keyDoc, jws json.RawMessage) error {
	var compact string
	if err := json.Unmarshal(jws, &compact); err != nil {
		compact = string(jws) // the JSON serialization
	}
	tok, err := parseJWS(compact, refusedHeaders)
	if err != nil {
		return err
	}
	var set struct{ Keys []json.RawMessage }
	if json.Unmarshal(keyDoc, &set) == nil && set.Keys != nil {
		set, err := ParseKeySet(keyDoc)
		if err != nil {
			return err
		}
		key, ok := set.ByID[tok.Kid]
		if !ok {
			return fmt.Errorf("no key %q", tok.Kid)
		}
		return tok.VerifyForeign(key)
	}
	jwk, err := ParseJWK(keyDoc)
	if err != nil {
		return err
	}
	key, err := jwk.ForeignKey()
	if err != nil {
		return err
	}
	return tok.VerifyForeign(key)
}

type signatureFile struct {
	TestGroups []struct {
		PublicKeyJwk json.RawMessage               `json:"publicKeyJwk"`
		PublicKey    struct{ Uncompressed string } `json:"publicKey"`
		Tests        []struct {
			TcID              int `json:"tcId"`
			Msg, Sig, Comment string
			Result            string
		}
	} `json:"testGroups"`
}

// The signatures under the tokens, edge cases of the curves included.
func TestWycheproofSignaturesVerifyExactlyWhereValid(t *testing.T) {
	for name, alg := range map[string]string{"ecdsa_secp256r1_sha256_p1363_test.json": ES256, "ed25519_test.json": EdDSA} {
		t.Run(name, func(t *testing.T) {
			var file signatureFile
			readCorpus(t, name, &file)
			ran := 0
			for _, g := range file.TestGroups {
				if g.PublicKeyJwk == nil { // some groups give the point alone
					point := unhex(t, g.PublicKey.Uncompressed)
					g.PublicKeyJwk = appendMembers(nil, "kty", "EC", "crv", "P-256",
						"x", b64.EncodeToString(point[1:33]), "y", b64.EncodeToString(point[33:]))
				}
				jwk, err := ParseJWK(g.PublicKeyJwk)
				if err != nil {
					t.Fatal(err)
				}
				key, err := jwk.Key()
				if err != nil {
					t.Fatalf("key of tcId %d: %v", g.Tests[0].TcID, err)
				}
				for _, tc := range g.Tests {
					ran++
					tok := &Token{Alg: alg, signingInput: string(unhex(t, tc.Msg)), signature: unhex(t, tc.Sig)}
					if err := tok.Verify(key); (err == nil) != (tc.Result == "valid") {
						t.Errorf("tcId %d (%s): %v; want %s", tc.TcID, tc.Comment, err, tc.Result)
					}
				}
			}
			if ran < 150 {
				t.Errorf("ran %d vectors; want at least 150", ran)
			}
		})
	}
}

func readCorpus(t *testing.T, name string, into any) {
	t.Helper()
	data, err := os.ReadFile(corpora.Dir(t, "wycheproof", "testvectors_v1", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
