package entry

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// What is printed is pasted into a shell or a file, whatever stands in the paths.
func TestEntriesSurviveTheShellAndJSON(t *testing.T) {
	const program, config = "/opt/it's/$(sally) port", `/home/u/a "b"\c/sallyport.yaml`
	command := Connect(program, config, "http://h/mcp?a&b", "reader")
	want := []string{program, "connect", "http://h/mcp?a&b", "--config", config, "--role", "reader"}
	for _, line := range []string{"set -- " + Line(command), strings.Replace(Claude("work", command, "--scope user"), "claude mcp add --scope user work", "set", 1)} {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", line+`; printf '%s\n' "$@"`).Output()
		if err != nil {
			t.Fatal(err)
		}
		if got := string(out); got != strings.Join(want, "\n")+"\n" {
			t.Errorf("the shell reads %q; want %q", got, want)
		}
	}
	var got struct {
		Command string
		Args    []string
	}
	if err := json.Unmarshal([]byte(Stdio(command)), &got); err != nil {
		t.Fatalf("%v: %s", err, Stdio(command))
	}
	if got.Command != program || !slices.Equal(got.Args, want[1:]) {
		t.Errorf("read %+v; want %q", got, want)
	}
}
