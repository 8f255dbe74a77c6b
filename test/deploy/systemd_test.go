package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// systemd itself reads the unit: nothing in it is unknown to it, and what is left open to the service is
// little. Its measure goes from 0 (locked) to 10 (as root, everything); 2 and less it calls OK.
func TestUnitIsSoundAndLocked(t *testing.T) {
	for _, c := range []struct {
		name string
		drop string
		most float64
	}{{"servers over HTTP", "", 1.5}, {"programs too", "programs.conf", 3.5}} {
		t.Run(c.name, func(t *testing.T) {
			unit := filepath.Join(t.TempDir(), "sallyport.service")
			text := read(t, filepath.Join(examples, "systemd/sallyport.service"))
			text = strings.Replace(text, "Documentation=man:sallyport(1)\n", "", 1) // the page is installed beside it, not here
			text = strings.ReplaceAll(text, "/usr/bin/sallyport", "/bin/true")
			must(t, os.WriteFile(unit, []byte(text), 0o600))
			if c.drop != "" {
				must(t, os.Mkdir(unit+".d", 0o700))
				drop := strings.ReplaceAll(read(t, filepath.Join(examples, "systemd", c.drop)), "/usr/bin/sallyport", "/bin/true")
				must(t, os.WriteFile(filepath.Join(unit+".d", c.drop), []byte(drop), 0o600))
			}
			analyze := analyzer(t)
			if out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", unit).CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("systemd-analyze verify: %v\n%s", err, out)
			}
			out, err := exec.CommandContext(t.Context(), analyze, "security", "--offline=true", "--no-pager", unit).CombinedOutput()
			if err != nil {
				t.Fatalf("systemd-analyze security: %v\n%s", err, out)
			}
			m := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindSubmatch(out)
			if m == nil {
				t.Fatalf("no level in\n%s", out)
			}
			if level, err := strconv.ParseFloat(string(m[1]), 64); err != nil || level > c.most {
				t.Errorf("exposure is %s, want at most %v\n%s", m[1], c.most, out)
			}
		})
	}
}

// analyzer is systemd-analyze of the system, or what `make deploy` unpacked.
func analyzer(t *testing.T) string {
	t.Helper()
	if path, err := exec.LookPath("systemd-analyze"); err == nil {
		return path
	}
	return tool(t, "systemd-analyze")
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	return string(text)
}
