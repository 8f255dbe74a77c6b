package pin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sallyport/gateway/catalog"
	"sallyport/gateway/wire"
	"sallyport/internal/strictjson"
)

// good is a file as a store writes it.
const good = `version: 1
servers:
  files:
    tools:
      read_file:
        - eras: [modern, legacy]
          digest: DIGEST
          first: 2026-11-25T12:00:00Z
          reviewed: {by: "user ada", at: 2026-11-25T12:00:00Z}
          definition: |
            {
              "name": "read_file",
              "inputSchema": {}
            }
`

func goodFile() string {
	return strings.ReplaceAll(good, "DIGEST", catalog.Digest([]byte(`{"name":"read_file","inputSchema":{}}`)))
}

func TestAFileEditedIntoNonsenseSaysWhereAndWhatToDo(t *testing.T) {
	const cured = "take the file as it was from version control, or remove this entry and review it again"
	for _, tt := range []struct{ name, old, new, want string }{
		{"no YAML", "servers:\n", "servers: [\n", ":1: this is not YAML: did not find expected ',' or ']'; " + cured},
		{"tab", "  files:", "\tfiles:", ":3: this is not YAML: found character that cannot start any token; " + cured},
		{"a list", goodFile(), "- 1\n", ":1: the file: want a mapping; " + cured},
		{"empty", goodFile(), "", ":1: the file is empty; " + cured + ", or remove the file, if all is to be pinned anew"},
		{"two documents", "version: 1\n", "version: 1\n---\n", ":2: a second document; want one; " + cured},
		{"version", "version: 1", "version: 2", ":1: version \"2\"; this Sallyport reads version 1"},
		{"unknown key", "servers:\n", "server: {}\nservers:\n", `:2: unknown key "server"; want version or servers; ` + cured},
		{"unknown section", "    tools:", "    tool:", `:4: files: unknown key "tool"; want tools, prompts, templates or instructions; ` + cured},
		{"unknown key of a definition", "          first:", "          frist: x\n          first:", `:8: files.read_file: unknown key "frist"; want one of eras, pending, digest, first, reviewed, definition, text, exact; ` + cured},
		{"edited definition", `"inputSchema": {}`, `"inputSchema": {"type":"object"}`, ":7: files.read_file: the digest is not of the definition below it, which is sha256:"},
		{"no digest", "          digest: " + catalog.Digest([]byte(`{"name":"read_file","inputSchema":{}}`)) + "\n", "", ":6: files.read_file: the digest is not of the definition below it, which is sha256:"},
		{"broken definition", `"name": "read_file",`, `"name": "read_file"`, ":10: files.read_file: the definition is not JSON: "},
		{"member twice", `"name": "read_file",`, `"name": "read_file", "name": "read_file",`, ":10: files.read_file: the definition is not JSON: the same member name twice in one object"},
		{"another name", `"name": "read_file",`, `"name": "write_file",`, ":10: files.read_file: the definition is of something else; " + cured},
		{"tool twice", "    tools:\n", "    tools:\n      read_file: []\n", ":5: files.read_file: want a list of definitions; " + cured},
		{"server twice", "  files:\n", "  files: {}\n  files:\n", `:4: servers: "files" is here twice, first in line 3; keep the one that was reviewed`},
		{"era twice", "[modern, legacy]", "[modern, modern]", ":6: files.read_file: eras: want [modern], [legacy] or both; " + cured},
		{"no era", "[modern, legacy]", "[2026]", ":6: files.read_file: eras: want [modern], [legacy] or both; " + cured},
		{"no eras", "- eras: [modern, legacy]\n          digest", "- digest", ":6: files.read_file: eras: want [modern], [legacy] or both; " + cured},
		{"time", "first: 2026-11-25T12:00:00Z", "first: yesterday", `:8: files.read_file: first: "yesterday" is no time such as 2026-11-25T12:00:00Z; ` + cured},
		{"no time", "          first: 2026-11-25T12:00:00Z\n", "", ":6: files.read_file: first: want a time such as 2026-11-25T12:00:00Z; " + cured},
		{"reviewed by nobody", `by: "user ada", `, "", ":9: files.read_file: reviewed: by whom? want by and at; " + cured},
		{"reviewed when", `, at: 2026-11-25T12:00:00Z}`, "}", ":9: files.read_file: reviewed: at: want a time such as 2026-11-25T12:00:00Z; " + cured},
		{"reviewed how", "by:", "from:", `:9: files.read_file: reviewed: unknown key "from"; want by and at; ` + cured},
		{"reviewed and pending", "          reviewed:", "          pending: true\n          reviewed:", ":10: files.read_file: what is pending was not reviewed; approve with `sallyport tools approve`"},
		{"pending", "          first:", "          pending: false\n          first:", ":8: files.read_file: pending is true or absent; approve with `sallyport tools approve`"},
		{"two forms", "          definition:", "          exact: x\n          definition:", ":10: files.read_file: want one of definition, text and exact; " + cured},
		{"an alias", "  files:\n", "  files: &f\n", ":3: files: want a mapping; " + cured},
	} {
		text := strings.Replace(goodFile(), tt.old, tt.new, 1)
		if tt.new != tt.old && text == goodFile() {
			t.Fatalf("%s: nothing is edited", tt.name)
		}
		path := filepath.Join(t.TempDir(), FileName)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path, Options{Mode: FirstUse})
		if err == nil {
			_ = s.Close()
			t.Errorf("%s: it loads", tt.name)
			continue
		}
		if got := strings.TrimPrefix(err.Error(), path); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s:\n got  %s\n want %s", tt.name, got, tt.want)
		}
		if after, err := os.ReadFile(path); err != nil || string(after) != text {
			t.Errorf("%s: the file was touched: %v", tt.name, err)
		}
	}
}

func TestTheFileIsMadeToBeRead(t *testing.T) {
	r := fresh(t, FirstUse)
	long := &Shown{Tools: list("tools", tool("a", "one"), `{"name":"b", "inputSchema":{}}`), Instructions: []byte(`"Say:\nhello"`)}
	r.Server("s").See([2]*Shown{wire.Modern: long, wire.Legacy: tools(tool("a", "one"))})
	r.approve(t, "a")
	r.see(tools("{\"name\":\"a\",\"description\":\"tw\u200bo\",\"inputSchema\":{\"type\":\"object\"}}", `{"name":"b", "inputSchema":{}}`))
	got, err := os.ReadFile(r.path)
	if err != nil {
		t.Fatal(err)
	}
	want := head + `servers:
  s:
    tools:
      a:
        - eras: [legacy, modern]
          digest: ` + catalog.Digest([]byte(tool("a", "one"))) + `
          first: 2026-11-25T12:00:00Z
          reviewed: {by: "user ada", at: 2026-11-25T12:00:00Z}
          definition: |
            {
              "name": "a",
              "description": "one",
              "inputSchema": {
                "type": "object"
              }
            }
        - eras: [modern]
          pending: true # not served until it is approved
          digest: ` + catalog.Digest([]byte(`{"name":"a","description":"tw\u200bo","inputSchema":{"type":"object"}}`)) + `
          first: 2026-11-25T12:00:00Z
          exact: "{\"name\":\"a\",\"description\":\"tw\u200bo\",\"inputSchema\":{\"type\":\"object\"}}"
      b:
        - eras: [modern]
          digest: ` + catalog.Digest([]byte(`{"name":"b","inputSchema":{}}`)) + `
          first: 2026-11-25T12:00:00Z
          exact: "{\"name\":\"b\", \"inputSchema\":{}}"
    instructions:
      - eras: [modern]
        digest: ` + catalog.Digest([]byte(`"Say:\nhello"`)) + `
        first: 2026-11-25T12:00:00Z
        text:
        - "Say:"
        - "hello"
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("the file differs (-want +got):\n%s", diff)
	}
	info, err := os.Stat(r.path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
}

// TestEveryDefinitionIsReadBackAsItWas writes and reads definitions of arbitrary texts, names and
// white space.
func TestEveryDefinitionIsReadBackAsItWas(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.OneOf(rapid.SampledFrom([]string{"<<", "null", "~", "0x10", "1.5", "a: b", "- x", "yes", "#"}), rapid.StringN(1, 20, 60)).Draw(rt, "name")
		text := string(strictjson.AppendString(nil, rapid.String().Draw(rt, "text")))
		blank := rapid.SampledFrom([]string{"", " ", "\n", "\t\n "}).Draw(rt, "blank")
		raw := []byte(`{"name":` + blank + string(strictjson.AppendString(nil, name)) + `,"description":` + text + `,"n":` +
			rapid.SampledFrom([]string{"1", "1.0", "-0", "1e5", "12345678901234567890"}).Draw(rt, "n") + blank + `}`)
		if strictjson.Check(raw, strictjson.Limits{}) != nil {
			rt.Skip("not strict")
		}
		servers := map[string]*server{name: newServer()}
		v := newVersion(raw, catalog.Digest(raw), rapid.Just(timeZero).Draw(rt, "time"))
		servers[name].entries[key{Prompt, name}] = &entry{pin: [2]*version{v, nil}}
		w := newVersion([]byte(text), catalog.Digest([]byte(text)), timeZero)
		servers[name].entries[key{Instructions, ""}] = &entry{pending: [2]*version{w, w}}
		path := filepath.Join(dir, FileName)
		if err := writeFile(path, marshal(servers)); err != nil {
			rt.Fatal(err)
		}
		got, err := read(path)
		if err != nil {
			rt.Fatalf("%v\n%s", err, marshal(servers))
		}
		back := got[name].entries[key{Prompt, name}]
		if back == nil || string(back.pin[0].raw) != string(raw) || back.pin[1] != nil {
			rt.Fatalf("read back another definition than %s:\n%s", raw, marshal(servers))
		}
		said := got[name].entries[key{Instructions, ""}]
		if said == nil || said.pending[0] != said.pending[1] || string(said.pending[0].raw) != text {
			rt.Fatalf("read back other instructions than %s:\n%s", text, marshal(servers))
		}
	})
}
