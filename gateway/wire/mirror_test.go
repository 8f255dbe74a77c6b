package wire

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What MirrorHeaders writes is what the checks of this package accept, also where the value has to
// be encoded.
func TestMirroredHeadersPassTheChecks(t *testing.T) {
	bindings := []HeaderBinding{{Header: "Mcp-Param-Dry", Path: []string{"dry"}, Type: "boolean"},
		{Header: "Mcp-Param-Region", Path: []string{"where", "region"}, Type: "string"}, {Header: "Mcp-Param-Rows", Path: []string{"rows"}, Type: "integer"}}
	for _, tt := range []struct {
		name, args string
		want       http.Header
	}{
		{"get", `{"where":{"region":"us-west1"},"rows":42,"dry":false}`, http.Header{"Mcp-Name": {"get"}, "Mcp-Param-Region": {"us-west1"}, "Mcp-Param-Rows": {"42"}, "Mcp-Param-Dry": {"false"}}},
		{"größe", `{"where":{"region":"a\nb"},"rows":null}`, http.Header{"Mcp-Name": {"=?base64?Z3LDtsOfZQ==?="}, "Mcp-Param-Region": {"=?base64?YQpi?="}}},
		{"=?base64?x?=", `{}`, http.Header{"Mcp-Name": {"=?base64?PT9iYXNlNjQ/eD89?="}}},
	} {
		h, err := MirrorHeaders(MethodToolsCall, tt.name, bindings, []byte(tt.args))
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		for name, value := range map[string]string{HeaderVersion: V20260728, HeaderMethod: MethodToolsCall, "Content-Type": "application/json", "Accept": "application/json, text/event-stream"} {
			tt.want[name] = []string{value}
		}
		if diff := cmp.Diff(tt.want, h); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
		if err := CheckParamHeaders(h, bindings, []byte(tt.args)); err != nil {
			t.Errorf("%s: the check of the arguments says %v", tt.name, err)
		}
		if err := checkMirror(h, HeaderName, tt.name, true); err != nil {
			t.Errorf("%s: the check of the name says %v", tt.name, err)
		}
	}
}

func TestArgumentThatIsNoScalarIsNotMirrored(t *testing.T) {
	_, err := MirrorHeaders(MethodToolsCall, "get", []HeaderBinding{{Header: "Mcp-Param-X", Path: []string{"x"}}}, []byte(`{"x":{"secret":1}}`))
	if want := "the argument for Mcp-Param-X cannot be mirrored in a header"; err == nil || err.Error() != want {
		t.Errorf("error = %v; want %s", err, want)
	}
	h, err := MirrorHeaders(MethodComplete, "ref", nil, nil)
	if err != nil || h[HeaderName] != nil {
		t.Errorf("completion: %v, %v; want no %s", h, err, HeaderName)
	}
}
