package gateway

import (
	"strings"
	"testing"
)

// A server is told of a newer client only what the policy would let it ask; where nothing is
// refused, all that the client has declared.
func TestServerIsToldOfNothingThatItMayNotAsk(t *testing.T) {
	for _, tt := range []struct {
		name, policy string
		recordOnly   bool
		want         Capabilities
	}{
		{"one may be asked", testPolicy, false, Capabilities{Roots: true}},
		{"none may", strings.Replace(testPolicy, `allow if input.action == "roots/list"`, "", 1), false, Capabilities{}},
		{"nothing is refused", strings.Replace(testPolicy, `allow if input.action == "roots/list"`, "", 1), true, Capabilities{Sampling: true, Roots: true}},
	} {
		f, _ := fedFixture(t)
		f.snap.Policy, f.snap.RecordOnly = mustPolicy(t, tt.policy), tt.recordOnly
		f.swap()
		call := strings.Replace(modernCall("files__read_file", `{"path":"/srv/a"}`), `clientCapabilities":{}`, `clientCapabilities":{"sampling":{},"roots":{}}`, 1)
		if w := f.post(f.reader, call, modernHeaders("tools/call", "files__read_file")...); w.Code != 200 {
			t.Fatalf("%s: %d %s", tt.name, w.Code, w.Body)
		}
		if got := f.up.requests()[0].Can; got != tt.want {
			t.Errorf("%s: the server is told of %+v; want %+v", tt.name, got, tt.want)
		}
	}
}
