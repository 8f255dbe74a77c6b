package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var forms = []string{"gateway", "sidecar"}

// namespace holds every pod in it to the strictest of Kubernetes' own standards.
const namespace = `# Written by ` + "`make docs`" + ` from examples/deploy/helm: the chart with helm/values/%FORM%.yaml. Change those
# values (or this file, once it is yours).
apiVersion: v1
kind: Namespace
metadata:
  name: sallyport
  labels:
    pod-security.kubernetes.io/enforce: restricted
`

// The plain manifests are the chart, rendered: whoever uses no helm gets the same, and the two cannot
// drift apart.
func TestPlainManifestsAreTheChart(t *testing.T) {
	for _, form := range forms {
		t.Run(form, func(t *testing.T) {
			text := strings.ReplaceAll(namespace, "%FORM%", form) + rendered(t, form)
			for _, line := range []string{`(?m)^ *app.kubernetes.io/managed-by: Helm\n`, `(?m)^# Source: .*\n`} {
				text = regexp.MustCompile(line).ReplaceAllString(text, "")
			}
			path := filepath.Join(examples, "kubernetes", form+".yaml")
			if *update {
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			have, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if string(have) != text {
				t.Errorf("%s is not what the chart renders: run `make docs`", path)
			}
		})
	}
}

// Each object is one that the API server of each version would take: no unknown field, no wrong type.
func TestManifestsAreValidForEveryVersion(t *testing.T) {
	validate := tool(t, "kubectl-validate")
	for _, version := range []string{"1.27", "1.28", "1.29", "1.30"} {
		for _, form := range forms {
			out, err := exec.CommandContext(t.Context(), validate, "--version", version, filepath.Join(examples, "kubernetes", form+".yaml")).CombinedOutput()
			if err != nil {
				t.Errorf("Kubernetes %s, %s: %v\n%s", version, form, err, out)
			}
		}
	}
	broken := filepath.Join(t.TempDir(), "broken.yaml")
	text := strings.Replace(rendered(t, "gateway"), "readOnlyRootFilesystem: true", "readOnlyRootFileSystem: true", 1)
	if err := os.WriteFile(broken, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), validate, "--version", "1.30", broken).CombinedOutput(); err == nil {
		t.Errorf("a field that does not exist was taken, so this test shows nothing:\n%s", out)
	}
}

// What cannot be right is refused before anything is installed, with what to write instead.
func TestChartRefuses(t *testing.T) {
	for _, c := range []struct{ name, form, set, want string }{
		{"no address", "gateway", "publicURL=", "publicURL is empty: give what clients see, as https://gateway.example"},
		{"an address without TLS", "gateway", "publicURL=http://gateway.example", "'/publicURL'"},
		{"tokens in the clear", "gateway", "tls.secretName=", "tokens would cross the network in the clear: give tls.secretName"},
		{"TLS twice", "gateway", "tls.terminatedBefore=true", "exclude each other"},
		{"what the chart decides", "gateway", "config.listen=0.0.0.0:80", "config.listen is the chart's to say"},
		{"no server", "gateway", "config.mcpServers=null", "config.mcpServers is empty: name the servers"},
		{"a sidecar of nothing", "sidecar", "sidecar.container.image=", "give at least its image"},
		{"a sidecar with other servers", "sidecar", "config.mcpServers.x.url=http://x", "config.mcpServers has no place here"},
		{"an unknown form", "gateway", "form=daemon", "'/form'"},
		{"an unknown value", "gateway", "replicas=3", "'replicas' not allowed"},
		{"a tag for a digest", "gateway", "image.digest=latest", "'/image/digest'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := render(t, c.form, c.set)
			if err == nil {
				t.Fatalf("--set %s was taken", c.set)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("it says\n%v\nwant it to hold %q", err, c.want)
			}
		})
	}
}
