package entry

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// What is printed is pasted into a shell or a file, whatever stands in the paths.
func TestEntriesSurviveTheShellAndJSON(t *testing.T) {
	const program, config = "/opt/it's/$(sally) port", `/home/u/a "b"\c/sallyport.yaml`
	helper := Helper(program, config, "reader")
	out, err := exec.CommandContext(t.Context(), "sh", "-c", "set -- "+helper+`; printf '%s\n' "$@"`).Output()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(out), strings.Join([]string{program, "token", "headers", "--config", config, "--role", "reader"}, "\n")+"\n"; got != want {
		t.Errorf("the shell reads %q; want %q", got, want)
	}
	text := HTTP("http://h/mcp?a&b", helper)
	type server struct{ Type, URL, HeadersHelper string }
	var got server
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if want := (server{"http", "http://h/mcp?a&b", helper}); got != want {
		t.Errorf("read %+v; want %+v", got, want)
	}
}
