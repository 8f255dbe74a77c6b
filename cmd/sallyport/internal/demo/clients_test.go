package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// serving runs the demo without Once and returns its page once it serves on.
func serving(t *testing.T) (page string, stop func() error) {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := Run(ctx, Options{Listen: "127.0.0.1:0", Out: w, Program: "/opt/sally port/sallyport", Policies: example(t)})
		_ = w.CloseWithError(err)
		ended <- err
	}()
	var b bytes.Buffer
	chunk := make([]byte, 4096)
	for !strings.Contains(b.String(), lastLine) {
		n, err := r.Read(chunk)
		b.Write(chunk[:n])
		if err != nil {
			cancel()
			t.Fatalf("the page ended: %v\n%s", err, b.String())
		}
	}
	return b.String(), func() error { cancel(); return <-ended }
}

func TestServesOnAndPrintsLinesThatAShellTakes(t *testing.T) {
	page, stop := serving(t)
	adds := regexp.MustCompile(`(?m)^claude mcp add-json .*$`).FindAllString(page, -1)
	if len(adds) != 4 {
		t.Fatalf("%d claude lines; want one for each of 4 servers:\n%s", len(adds), page)
	}
	for _, line := range adds {
		words := shellWords(t, line)
		if len(words) != 5 || !strings.HasPrefix(words[3], "sallyport-") {
			t.Fatalf("the shell reads %q as %q", line, words)
		}
		var entry struct{ Type, URL, HeadersHelper string }
		if err := json.Unmarshal([]byte(words[4]), &entry); err != nil {
			t.Fatalf("%s: %v", words[4], err)
		}
		helper := shellWords(t, entry.HeadersHelper)
		if entry.Type != "http" || helper[0] != "/opt/sally port/sallyport" || helper[1] != "token" || helper[2] != "headers" {
			t.Errorf("entry %+v, helper %q", entry, helper)
		}
		resp, err := http.Post(entry.URL, "application/json", strings.NewReader(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("POST %s without a token = %d; want 401", entry.URL, resp.StatusCode)
		}
		if _, err := os.Stat(helper[4]); helper[3] != "--config" || err != nil {
			t.Errorf("helper %q names no configuration that exists: %v", helper, err)
		}
	}
	if n := strings.Count(page, "npx @modelcontextprotocol/inspector --cli"); n != 4 {
		t.Errorf("%d inspector lines; want 4", n)
	}
	if err := stop(); err != nil {
		t.Errorf("demo ended with %v; want nil", err)
	}
	if left, _ := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*")); len(left) > 0 {
		t.Errorf("the demo left %q", left)
	}
}

// shellWords lets a shell split a line, without running it.
func shellWords(t *testing.T, line string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "sh", "-c", `printf '%s\0' `+line).Output()
	if err != nil {
		t.Fatalf("the shell refuses %q: %v", line, err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

func TestATakenPortSaysWhatToDo(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	err = Run(t.Context(), Options{Listen: ln.Addr().String(), Once: true, Out: io.Discard, Policies: example(t)})
	if err == nil || !strings.Contains(err.Error(), "address already in use; another address: --listen 127.0.0.1:0") {
		t.Errorf("demo on a port that is taken = %v; want advice", err)
	}
}

func TestAnAddressThatOthersReachIsRefused(t *testing.T) {
	err := Run(t.Context(), Options{Listen: "0.0.0.0:0", Once: true, Out: io.Discard, Policies: example(t)})
	if err == nil || !strings.Contains(err.Error(), "the demo listens on loopback only") {
		t.Errorf("demo on 0.0.0.0 = %v; want a refusal", err)
	}
}
