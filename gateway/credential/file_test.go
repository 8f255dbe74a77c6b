package credential

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func write(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func must(t *testing.T) func(Source, error) Source {
	return func(s Source, err error) Source {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

func get(t *testing.T, s Source) string {
	t.Helper()
	secret, err := s.Get(t.Context(), Who{})
	if err != nil {
		t.Fatal(err)
	}
	return secret.Value
}

// refused returns the error of a Get that must fail.
func refused(t *testing.T, s Source) string {
	t.Helper()
	secret, err := s.Get(t.Context(), Who{})
	if err == nil {
		t.Fatalf("%v: got %q; want an error", s, secret.Value)
	}
	return err.Error()
}

func TestFileSaysWhatIsWrongWithIt(t *testing.T) {
	dir := t.TempDir()
	for name, tt := range map[string]struct{ path, want string }{
		"missing":        {filepath.Join(dir, "none"), "read credential PATH: no such file or directory"},
		"a directory":    {dir, "credential PATH is not a regular file"},
		"empty":          {write(t, "empty", " \n", 0o600), "credential PATH is empty"},
		"two lines":      {write(t, "two", "one\ntwo\n", 0o600), "credential PATH has more than one line; it must hold the secret and nothing else"},
		"control":        {write(t, "control", "a\x01b", 0o600), "credential PATH holds a control character"},
		"too long":       {write(t, "long", strings.Repeat("x", maxSecret+1), 0o600), "credential PATH has over 65536 bytes; that is no credential"},
		"world-readable": {write(t, "open", "hunter2", 0o644), "credential PATH can be read by everybody on this machine (mode 0644); chmod 0600 it, or 0640 with a group of its own"},
		"world-writable": {write(t, "writable", "hunter2", 0o602), "credential PATH can be written by others (mode 0602); chmod 0600 it"},
		"group-writable": {write(t, "group", "hunter2", 0o660), "credential PATH can be written by others (mode 0660); chmod 0600 it"},
	} {
		got := refused(t, must(t)(File(FileConfig{Path: tt.path})))
		if want := strings.ReplaceAll(tt.want, "PATH", tt.path); got != want {
			t.Errorf("%s: %s\nwant %s", name, got, want)
		}
	}
	for _, mode := range []os.FileMode{0o600, 0o400, 0o640, 0o440} {
		if got := get(t, must(t)(File(FileConfig{Path: write(t, "good", "  hunter2\n", mode)}))); got != "hunter2" {
			t.Errorf("mode %o: got %q", mode, got)
		}
	}
	if got := get(t, must(t)(File(FileConfig{Path: write(t, "mount", "hunter2", 0o644), AllowReadable: true}))); got != "hunter2" {
		t.Errorf("a readable file that is allowed: got %q", got)
	}
	if _, err := File(FileConfig{}); err == nil {
		t.Error("a file without a path was taken")
	}
}

// Rotation as operators and orchestrators do it: written in place, renamed over, and a symbolic
// link that is pointed elsewhere.
func TestFileIsReadAgainWhenItIsReplaced(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "secret")
	put := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	rename := func(from string) {
		if err := os.Rename(from, path); err != nil {
			t.Fatal(err)
		}
	}
	put("secret", "first")
	synctest.Test(t, func(t *testing.T) {
		s := must(t)(File(FileConfig{Path: path}))
		want := func(text string) {
			t.Helper()
			time.Sleep(fileEvery)
			if got := get(t, s); got != text {
				t.Errorf("got %q; want %q", got, text)
			}
		}
		want("first")
		put("secret", "again")
		if got := get(t, s); got != "first" {
			t.Errorf("read twice within %v", fileEvery)
		}
		want("again")
		rename(put("next", "third"))
		want("third")
		if err := os.Symlink(put("a", "linked"), path+".new"); err != nil {
			t.Fatal(err)
		}
		rename(path + ".new")
		want("linked")
		s.(Refresher).Refused(Who{}, Secret{Value: "linked"})
		put("a", "refused")
		if got := get(t, s); got != "refused" {
			t.Errorf("after a refusal: got %q", got)
		}
	})
}

func TestFileThatTurnsBadKeepsTheLastGoodSecretAndWarns(t *testing.T) {
	path := write(t, "secret", "hunter2", 0o600)
	var logs bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		s := must(t)(File(FileConfig{Path: path, Log: slog.New(slog.NewTextHandler(&logs, nil))}))
		get(t, s)
		if err := os.Truncate(path, 0); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			time.Sleep(2 * fileEvery)
			if got := get(t, s); got != "hunter2" {
				t.Fatalf("got %q", got)
			}
		}
	})
	if n := strings.Count(logs.String(), "is empty"); n != 1 {
		t.Errorf("warned %d times in 20 s; want once:\n%s", n, logs.String())
	}
}

func TestSecretThatIsTooShortToBeScrubbedIsWarnedOf(t *testing.T) {
	for text, want := range map[string]int{"hunter2": 1, "hunter22": 0} {
		var logs bytes.Buffer
		get(t, must(t)(File(FileConfig{Path: write(t, "secret", text, 0o600), Log: slog.New(slog.NewTextHandler(&logs, nil))})))
		if n := strings.Count(logs.String(), "so short that it is not looked for"); n != want || strings.Contains(logs.String(), text) {
			t.Errorf("%d bytes: %d warnings; want %d:\n%s", len(text), n, want, logs.String())
		}
	}
}

func TestEnvSaysWhatIsWrongWithIt(t *testing.T) {
	lookup := func(name string) string {
		return map[string]string{"GOOD": " hunter2 ", "LINES": "a\nb"}[name]
	}
	for name, want := range map[string]string{
		"NONE":  "the environment has no NONE, which is a credential; set it where the gateway is started",
		"LINES": "variable LINES, which is a credential, has more than one line; it must hold the secret and nothing else",
	} {
		if got := refused(t, must(t)(Env(EnvConfig{Name: name, Lookup: lookup}))); got != want {
			t.Errorf("%s: %s\nwant %s", name, got, want)
		}
	}
	if got := get(t, must(t)(Env(EnvConfig{Name: "GOOD", Lookup: lookup}))); got != "hunter2" {
		t.Errorf("got %q", got)
	}
	if _, err := Env(EnvConfig{Lookup: lookup}); err == nil {
		t.Error("a variable without a name was taken")
	}
}

func TestEnvOfNamesTheVariableThatCannotBeMade(t *testing.T) {
	good := must(t)(File(FileConfig{Path: write(t, "good", "hunter2", 0o600)}))
	bad := must(t)(File(FileConfig{Path: write(t, "bad", "", 0o600)}))
	env, err := EnvOf(map[string]Source{"API_TOKEN": good})(t.Context(), Who{})
	if err != nil || env["API_TOKEN"] != "hunter2" || len(env) != 1 {
		t.Errorf("got %d variables, %v", len(env), err)
	}
	_, err = EnvOf(map[string]Source{"API_TOKEN": bad})(t.Context(), Who{})
	if err == nil || !strings.HasPrefix(err.Error(), "variable API_TOKEN: credential ") {
		t.Errorf("error %v; want one that names the variable", err)
	}
}

func TestSensitiveKnowsTheUsualNames(t *testing.T) {
	for name, want := range map[string]bool{
		"Authorization": true, "X-Api-Key": true, "GITHUB_TOKEN": true, "DB_PASSWORD": true, "AWS_SECRET_ACCESS_KEY": true, "Cookie": true,
		"OPENAI_API_KEY": true, "GH_PAT": true, "PATH": false, "X-Team": false, "HOME": false, "KEYBOARD": false, "Accept": false,
	} {
		if got := Sensitive(name); got != want {
			t.Errorf("Sensitive(%s) = %v; want %v", name, got, want)
		}
	}
}

func TestNothingPrintsASecret(t *testing.T) {
	const secret = "hunter2-hunter2"
	path := write(t, "secret", secret, 0o600)
	of := must(t)(File(FileConfig{Path: path}))
	get(t, of)
	key := must(t)(ClientCredentials(OAuthConfig{TokenURL: "https://login.example.com/token", ClientID: "me", Secret: of}))
	all := []any{Secret{Value: secret}, &Secret{Value: secret}, struct{ S Secret }{Secret{Value: secret}}, of, key,
		map[string]Source{"a": of}, must(t)(Env(EnvConfig{Name: "X", Lookup: func(string) string { return secret }})),
		must(t)(Exec(ExecConfig{Command: []string{"/bin/echo", secret}, Env: []string{"A=" + secret}}))}
	var logs bytes.Buffer
	for _, v := range all {
		text := fmt.Sprintf("%v %+v %#v %s %q %x %d", v, v, v, v, v, v, v)
		slog.New(slog.NewJSONHandler(&logs, nil)).Info("x", slog.Any("v", v))
		slog.New(slog.NewTextHandler(&logs, nil)).Info("x", slog.Any("v", v))
		text += logs.String()
		if strings.Contains(text, "unter2") || strings.Contains(text, fmt.Sprintf("%x", secret)) {
			t.Errorf("%T printed: %s", v, text)
		}
		logs.Reset()
	}
}
