package wire

import (
	"bytes"
	"net/http"
	"testing"
)

// A method that the era does not have is unknown, whatever else its message lacks: clients tell
// servers apart by that answer.
func TestRemovedMethodIsUnknownRatherThanIncomplete(t *testing.T) {
	body := `{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{` + modernMeta + `}}`
	m, err := Decode([]byte(body), modern("resources/subscribe", ""), Limits{})
	if err != nil || m.MethodKnown() {
		t.Errorf("Decode = %+v, %v; want a message whose method is unknown", m, err)
	}
}

func TestMethodsAreKnownInTheirEraAndKind(t *testing.T) {
	for _, tt := range []struct {
		m    Message
		want bool
	}{
		{Message{Kind: Request, Method: "tools/call"}, true},
		{Message{Kind: Request, Method: "ping"}, true},
		{Message{Kind: Request, Method: "ping", Era: Modern}, false},
		{Message{Kind: Request, Method: "initialize", Era: Modern}, false},
		{Message{Kind: Request, Method: "server/discover"}, false},
		{Message{Kind: Request, Method: "server/discover", Era: Modern}, true},
		{Message{Kind: Request, Method: "resources/subscribe", Era: Modern}, false},
		{Message{Kind: Request, Method: "subscriptions/listen", Era: Modern}, true},
		{Message{Kind: Request, Method: "tasks/list", Era: Modern}, false},
		{Message{Kind: Request, Method: "tasks/update"}, false},
		{Message{Kind: Request, Method: "Tools/call"}, false},
		{Message{Kind: Request, Method: "tools/call "}, false},
		{Message{Kind: Request, Method: "sampling/createMessage"}, false},
		{Message{Kind: Notification, Method: "notifications/initialized"}, true},
		{Message{Kind: Notification, Method: "notifications/initialized", Era: Modern}, false},
		{Message{Kind: Notification, Method: "notifications/cancelled", Era: Modern}, true},
		{Message{Kind: Notification, Method: "notifications/tools/list_changed"}, false},
		// A call without an id would be executed and answered to nobody.
		{Message{Kind: Notification, Method: "tools/call"}, false},
		{Message{Kind: Notification, Method: "tools/call", Era: Modern}, false},
		{Message{Kind: Request, Method: "notifications/cancelled"}, false},
		{Message{Kind: Response}, true},
		{Message{Kind: Response, Era: Modern}, false},
		{Message{}, false},
		{Message{Method: "tools/call"}, false},
	} {
		if got := tt.m.MethodKnown(); got != tt.want {
			t.Errorf("%v %v %q: MethodKnown = %v; want %v", tt.m.Era, tt.m.Kind, tt.m.Method, got, tt.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		req("tools/call", `{"name":"x","arguments":{}}`),
		`{"jsonrpc":"2.0","id":"\u0031","method":"ping","params":{"requestState":"\u0000"}}`,
		req("tools/call", `{"name":"x","x":{"name":"y"},`+modernMeta+`}`),
		req("completion/complete", `{"ref":{"type":"ref/prompt","name":"p"}}`),
		`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"a"}}`,
		`{"jsonrpc":"2.0","id":1,"result":{}}`, `[]`, `{"ID":1}`,
	} {
		f.Add([]byte(s), "")
		f.Add([]byte(s), V20260728)
	}
	f.Fuzz(func(t *testing.T, body []byte, version string) {
		h := http.Header{}
		if version != "" {
			h.Set(HeaderVersion, version)
			h.Set(HeaderMethod, "tools/call")
			h.Set(HeaderName, "x")
		}
		sent := bytes.Clone(body)
		m, err := Decode(body, h, Limits{})
		if !bytes.Equal(sent, body) {
			t.Fatalf("Decode wrote to %q", sent)
		}
		if err != nil {
			return
		}
		if !bytes.Equal(m.Raw, body) || &m.Raw[0] != &body[0] {
			t.Errorf("Raw is not the body")
		}
		if m.Kind == 0 || (m.Kind == Notification) != (m.ID == nil) || (m.Kind == Response) != (m.Method == "") {
			t.Errorf("%q: kind %v, id %q, method %q", body, m.Kind, m.ID, m.Method)
		}
		if m.HasRequestState && (m.Raw[m.RequestState.Start] != '"' || m.Raw[m.RequestState.End-1] != '"') {
			t.Errorf("requestState span is off in %q", body)
		}
		if m.Era == Modern && m.Kind == Request && version != V20260728 {
			t.Errorf("%q is modern without a header that says so", body)
		}
		again, err := Decode(m.Raw, h, Limits{})
		if err != nil || again.Name != m.Name || again.Method != m.Method {
			t.Errorf("%q decodes to another message the second time", body)
		}
	})
}
