package wire

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

// A request or notification that is let through is the same one to a server on go-sdk: kind, method, id and
// params. What go-sdk refuses, it does not carry out.
func FuzzAgreesWithGoSDK(f *testing.F) {
	for _, s := range []string{
		req("tools/call", `{"name":"x","arguments":{"a":[1,"\ud83d\ude00",null]}}`),
		`{"jsonrpc":"2.0","id":"\u0031","method":"p\u0069ng"}`,
		`{"jsonrpc":"2.0","id":9007199254740991,"method":"ping","x":{"method":"tools/call"}}`,
		`{"jsonrpc":"2.0","id":-1,"method":"ping","params":{}} `,
		`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"a"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/list","Method":"tools/call"}`,
		`{"jsonrpc":"2.0","id":1,"result":{"method":"tools/call"}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		ours, refused := Decode(body, http.Header{}, Limits{})
		if refused != nil {
			return
		}
		theirs, err := jsonrpc.DecodeMessage(bytes.Clone(body))
		if err != nil {
			return
		}
		switch m := theirs.(type) {
		case *jsonrpc.Request:
			if ours.Kind == Response || (ours.Kind == Request) != m.IsCall() {
				t.Fatalf("%q: we read a %v; go-sdk %+v", body, ours.Kind, m)
			}
			if ours.Method != m.Method || !bytes.Equal(ours.Params, m.Params) {
				t.Errorf("%q: we read %q with %q; go-sdk %q with %q", body, ours.Method, ours.Params, m.Method, m.Params)
			}
			sameID(t, ours.ID, m.ID)
		case *jsonrpc.Response:
			if ours.Kind != Response {
				t.Fatalf("%q: we read a %v %q; go-sdk a response", body, ours.Kind, ours.Method)
			}
			sameID(t, ours.ID, m.ID)
		}
	})
}

// sameID reports an id that go-sdk reads as another one, or as one of another type.
func sameID(t *testing.T, raw []byte, theirs jsonrpc.ID) {
	t.Helper()
	var want any
	if len(raw) > 0 && raw[0] == '"' {
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			t.Fatal(err)
		}
		want = s
	} else if raw != nil {
		n, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil || n > 1<<53 || n < -1<<53 {
			return // go-sdk keeps ids as float64, which has no room for it
		}
		want = n
	}
	if theirs.Raw() != want {
		t.Errorf("we read the id %s; go-sdk %v (%T)", raw, theirs.Raw(), theirs.Raw())
	}
}
