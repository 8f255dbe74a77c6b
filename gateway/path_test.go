package gateway

import (
	"net/http"
	"net/url"
	"testing"
)

// A path has one spelling: what a proxy in front, a proof or a reader of the log takes for another path
// is no path here.
func TestAPathHasOneSpelling(t *testing.T) {
	f := newFixture(t)
	for path, want := range map[string]int{"/mcp": 200, "/mcp/files": 200, "/mc%70": 404, "/mcp/%66iles": 404, "/mcp%2Ffiles": 404, "/mcp/fil%65s": 404} {
		for method, body := range map[string]string{http.MethodPost: readCall, http.MethodGet: ""} {
			r := f.request(method, f.reader, body)
			u, err := url.Parse(path)
			if err != nil {
				t.Fatal(err)
			}
			r.URL = u
			if got := f.serve(r).Code; got != want {
				t.Errorf("%s %s → %d; want %d", method, path, got, want)
			}
		}
	}
	if got := len(f.up.requests()); got != 4 {
		t.Errorf("%d requests at the server; want 4", got)
	}
}
