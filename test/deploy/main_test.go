package deploy

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write examples/deploy/kubernetes from the chart")

const (
	examples = "../../examples/deploy"
	chart    = examples + "/helm/sallyport"
)

// tool returns the path of a program that `make deploy` installs into .cache/bin. Where it is
// missing the test fails if it was asked for, and is passed over on a bare `go test ./...`.
func tool(t *testing.T, prefix string) string {
	t.Helper()
	found, err := filepath.Glob("../../.cache/bin/" + prefix + "*")
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		if os.Getenv("DEPLOY_REQUIRED") != "" || os.Getenv("CI") == "true" {
			t.Fatalf("%s is not in .cache/bin: run `make deploy`", prefix)
		}
		t.Skipf("%s is not in .cache/bin: `make deploy` installs it", prefix)
	}
	path, err := filepath.Abs(found[len(found)-1])
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// render is what helm makes of the chart; what it says where it refuses is the error.
func render(t *testing.T, form string, sets ...string) (string, error) {
	t.Helper()
	args := []string{"template", "sallyport", chart, "--kube-version", "1.33", "--namespace", "sallyport", "--values", filepath.Join(examples, "helm/values", form+".yaml")}
	for _, s := range sets {
		args = append(args, "--set", s)
	}
	cmd := exec.CommandContext(t.Context(), tool(t, "helm-v"), args...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return "", &refused{said.String()}
	}
	return out.String(), nil
}

type refused struct{ text string }

func (r *refused) Error() string { return strings.TrimSpace(r.text) }

// rendered is render where it must succeed.
func rendered(t *testing.T, form string, sets ...string) string {
	t.Helper()
	out, err := render(t, form, sets...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
