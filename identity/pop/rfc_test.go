package pop_test

import (
	"errors"
	"testing"
	"time"

	"sallyport/identity/pop"
)

// The examples of RFC 9449: of a token endpoint (§4.1, figure 2) and of a resource (§7.1, figure
// 12), by one key, whose thumbprint is in §6.1.
const (
	rfcHeader = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCR" +
		"nMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19"
	rfcTokenProof = rfcHeader + ".eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ" +
		".2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
	rfcResourceProof = rfcHeader + ".eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIs" +
		"ImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9" +
		".2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
	rfcToken = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
	rfcJKT   = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
)

// The examples have no nonce, which is all that we find wrong with them.
func TestExamplesOfTheRFCLackOnlyTheNonce(t *testing.T) {
	clk := &clock{time.Unix(1_562_262_618, 0)}
	c := pop.NewChecker(pop.CheckerOptions{Now: clk.now})
	for _, tt := range []struct {
		name, proof string
		want        pop.Want
	}{
		{"token endpoint", rfcTokenProof, pop.Want{Method: "POST", URL: "https://server.example.com/token", JKT: rfcJKT}},
		{"resource", rfcResourceProof, pop.Want{Method: "GET", URL: "https://resource.example.org/protectedresource", Token: rfcToken, JKT: rfcJKT}},
	} {
		if _, err := c.Check(tt.proof, tt.want); !errors.Is(err, pop.ErrNonce) {
			t.Errorf("%s: %v; want ErrNonce", tt.name, err)
		}
		other := tt.want
		other.Token = "another"
		if _, err := c.Check(tt.proof, other); !errors.Is(err, pop.ErrProof) {
			t.Errorf("%s, with another token: %v; want ErrProof", tt.name, err)
		}
	}
}
