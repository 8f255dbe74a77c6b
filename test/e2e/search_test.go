//go:build linux

package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sallyport/gateway/credential"
)

// search looks for secrets where an agent was at work.
type search struct {
	secrets []secret
}

// secret is one that is known by value.
type secret struct{ name, value string }

const (
	serversCredential = "the credential of a server"
	signingKey        = "a signing key of the gateway"
)

// shapes are what secrets look like that are not known by value.
var shapes = map[string]*regexp.Regexp{
	"a signed token":            regexp.MustCompile(`eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}`),
	"the private part of a JWK": regexp.MustCompile(`"d"\s*:\s*"[A-Za-z0-9_-]{40,}"`),
	"a private key in PEM":      regexp.MustCompile(`BEGIN [A-Z ]*PRIVATE KEY`),
}

// mark is a variable in the environment of what is searched: where it is not found, the search
// has looked elsewhere.
const mark = "MARK_OF_THE_SEARCH=here"

// newSearch knows the signing keys of a gateway and the credential that it shows to a server.
func newSearch(t *testing.T, g *gate) *search {
	t.Helper()
	s := &search{secrets: []secret{{serversCredential, upstreamSecret}}}
	keys, err := filepath.Glob(filepath.Join(g.state, "keys", "*.jwk"))
	if err != nil || len(keys) == 0 {
		t.Fatalf("no signing keys in %s: %v", g.state, err)
	}
	for _, file := range keys {
		var key struct{ D string }
		text, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(text, &key)
		}
		if err != nil || len(key.D) < 40 {
			t.Fatalf("read the key %s: %v", file, err)
		}
		s.secrets = append(s.secrets, secret{signingKey, key.D})
	}
	return s
}

// find names the secrets in a text, in any form that the gateway looks for in answers.
func (s *search) find(text []byte) []string {
	var found []string
	for _, one := range s.secrets {
		var scrubber credential.Scrubber
		scrubber.Learn(one.value)
		if _, n := scrubber.Scrub(text); n > 0 || bytes.Contains(text, []byte(one.value)) {
			found = append(found, one.name)
		}
	}
	for name, shape := range shapes {
		if shape.Match(text) {
			found = append(found, name)
		}
	}
	return found
}

func (s *search) text(t *testing.T, where string, text []byte) {
	t.Helper()
	for _, name := range s.find(text) {
		t.Errorf("%s holds %s", where, name)
	}
}

// files searches everything below a folder, which must hold a transcript of the session.
func (s *search) files(t *testing.T, dir string) {
	t.Helper()
	n, transcripts := 0, 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		n++
		if bytes.Contains(text, []byte(textOfTheFile)) {
			transcripts++
		}
		s.text(t, path, text)
		return nil
	})
	if err != nil || transcripts == 0 {
		t.Errorf("%d files, %d of them with what was read: %v; want at least one", n, transcripts, err)
	}
}

// processes searches environment and arguments of a process and all below it.
func (s *search) processes(t *testing.T, pid int) {
	below, err := descendants(pid)
	if err != nil {
		t.Error(err)
		return
	}
	marked, names := 0, []string{}
	for _, p := range append(below, pid) {
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p))
		if err != nil {
			continue // it has ended
		}
		args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p))
		if err != nil {
			continue
		}
		program, rest, _ := bytes.Cut(args, []byte{0})
		names = append(names, filepath.Base(string(program)))
		if bytes.Contains(environ, []byte(mark)) {
			marked++
		}
		s.text(t, fmt.Sprintf("the environment of %s", program), environ)
		s.text(t, fmt.Sprintf("the arguments of %s", program), rest)
	}
	if marked == 0 {
		t.Errorf("none of the processes %v has the mark in its environment", names)
	}
	t.Logf("searched the processes %v", names)
}

// descendants returns the processes below one.
func descendants(pid int) ([]int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, file := range stats {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		// "PID (NAME) STATE PPID …", where NAME may hold anything.
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		parent, err := strconv.Atoi(fields[1])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		children[parent] = append(children[parent], child)
	}
	var all []int
	for queue := children[pid]; len(queue) > 0; queue = queue[1:] {
		all, queue = append(all, queue[0]), append(queue, children[queue[0]]...)
	}
	return all, nil
}

// TestSearchFindsSecrets: a search that finds nothing proves something only where it would find.
func TestSearchFindsSecrets(t *testing.T) {
	g := startGate(t, setup{policies: map[string]string{"authz.rego": agentsReadAndNote}, servers: map[string]string{"files": newRecorder(t).url}})
	s := newSearch(t, g)
	key := s.secrets[len(s.secrets)-1]
	for _, tt := range []secret{
		{serversCredential, `{"header":"Bearer ` + upstreamSecret + `"}`},
		{serversCredential, base64.StdEncoding.EncodeToString([]byte(upstreamSecret))},
		{key.name, "x" + key.value},
		{"a signed token", `{"Authorization":"Bearer ` + g.token(t, "agent") + `"}`},
		{"the private part of a JWK", `{"kty":"OKP","d": "` + key.value + `"}`},
		{"a private key in PEM", "-----BEGIN EC PRIVATE KEY-----"},
	} {
		if found := s.find([]byte(tt.value)); !slices.Contains(found, tt.name) {
			t.Errorf("of %s it finds %v", tt.name, found)
		}
	}
	if found := s.find([]byte(`{"d":"x","text":"eyJ is how tokens begin"}`)); len(found) != 0 {
		t.Errorf("it finds %v where nothing is", found)
	}
}
