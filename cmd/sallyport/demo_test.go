package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestDemoOnceExitsZero(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var out, talk bytes.Buffer
	if code := run([]string{"demo", "--once"}, strings.NewReader(""), &out, &talk, nil); code != exitFine {
		t.Fatalf("exit code = %d; want 0\n%s\n%s", code, talk.String(), out.String())
	}
	if !strings.Contains(out.String(), "Every step came out as told") || strings.Contains(out.String(), "\x1b") {
		t.Errorf("the page is not the plain story:\n%s", out.String())
	}
	if talk.Len() > 0 {
		t.Errorf("the gateway had something to say: %s", talk.String())
	}
}

func TestDemoSaysWhatIsWrong(t *testing.T) {
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"demo", "--once", "--listen", "0.0.0.0:0"}, exitFailed, "the demo listens on loopback only"},
		{[]string{"demo", "--once", "--listen", "8080"}, exitFailed, "missing port in address"},
		{[]string{"demo", "now"}, exitUsage, "unknown command"},
	} {
		var out, talk bytes.Buffer
		code := run(tt.args, strings.NewReader(""), &out, &talk, nil)
		if code != tt.code || !strings.Contains(talk.String(), tt.want) {
			t.Errorf("sallyport %q = %d, %q; want %d, %q", tt.args, code, talk.String(), tt.code, tt.want)
		}
	}
}

func TestColoursAreForTerminalsThatWantThem(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	file, err := os.CreateTemp(t.TempDir(), "page")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for _, tt := range []struct {
		name string
		a    app
		got  func(a *app) bool
		want bool
	}{
		{"a device", app{}, func(a *app) bool { return a.coloured(null) }, true},
		{"NO_COLOR", app{env: map[string]string{"NO_COLOR": "1"}}, func(a *app) bool { return a.coloured(null) }, false},
		{"TERM=dumb", app{env: map[string]string{"TERM": "dumb"}}, func(a *app) bool { return a.coloured(null) }, false},
		{"a file", app{}, func(a *app) bool { return a.coloured(file) }, false},
		{"a buffer", app{}, func(a *app) bool { return a.coloured(&bytes.Buffer{}) }, false},
	} {
		if got := tt.got(&tt.a); got != tt.want {
			t.Errorf("%s: coloured = %v; want %v", tt.name, got, tt.want)
		}
	}
}
