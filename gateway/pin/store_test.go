package pin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/gateway/catalog"
	"sallyport/gateway/wire"
)

// rig is a store with what it has told.
type rig struct {
	*Store
	path   string
	events []Event
	acts   []Act
}

func open(t *testing.T, path string, mode Mode) *rig {
	t.Helper()
	r := &rig{path: path}
	s, err := Open(path, Options{Mode: mode, Event: func(e Event) { r.events = append(r.events, e) },
		Record: func(_ context.Context, a Act) error { r.acts = append(r.acts, a); return nil },
		Now:    func() time.Time { return time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	r.Store = s
	return r
}

func fresh(t *testing.T, mode Mode) *rig {
	return open(t, filepath.Join(t.TempDir(), FileName), mode)
}

// again is the store as the next process finds it.
func (r *rig) again(t *testing.T, mode Mode) *rig {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, r.path, mode)
}

func list(member string, elements ...string) []catalog.PageResult {
	return []catalog.PageResult{{Result: []byte(`{"` + member + `":[` + strings.Join(elements, ",") + `]}`)}}
}

func tools(elements ...string) *Shown { return &Shown{Tools: list("tools", elements...)} }

func tool(name, description string) string {
	return fmt.Sprintf(`{"name":%q,"description":%q,"inputSchema":{"type":"object"}}`, name, description)
}

// see shows the server "s" in the newer era and returns what may be served of its tools.
func (r *rig) see(shown *Shown) string {
	out := r.Server("s").See([2]*Shown{wire.Modern: shown})
	return string(out[wire.Modern].Tools[0].Result)
}

func (r *rig) approve(t *testing.T, name string) {
	t.Helper()
	if _, err := r.Approve(t.Context(), "user ada", Selection{Server: "s", Kind: Tool, Name: name, Named: true}, ""); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) told() []string {
	var out []string
	for _, e := range r.events {
		out = append(out, e.Method+" "+e.Kind.String()+" "+e.Name)
	}
	return out
}

func TestFirstSightIsPinnedAndKeptOverARestart(t *testing.T) {
	r := fresh(t, FirstUse)
	first := `{"tools":[` + tool("a", "one") + `]}`
	if got := r.see(tools(tool("a", "one"))); got != first {
		t.Errorf("served %s; want %s", got, first)
	}
	r = r.again(t, FirstUse)
	if got := r.see(tools(tool("a", "two"))); got != `{"tools":[]}` {
		t.Errorf("a definition that changed while nobody looked is served: %s", got)
	}
	if want := []string{"tools/changed tool a"}; !cmp.Equal(r.told(), want) {
		t.Errorf("events %v; want %v", r.told(), want)
	}
}

func TestAChangedDefinitionIsOffUntilItIsAsItWas(t *testing.T) {
	r := fresh(t, FirstUse)
	r.see(tools(tool("a", "one"), tool("b", "x")))
	for range 3 {
		if got := r.see(tools(tool("a", "two"), tool("b", "x"))); got != `{"tools":[`+tool("b", "x")+`]}` {
			t.Fatalf("served %s", got)
		}
	}
	if _, ok := r.Server("s").Serves(wire.Modern, Tool, "a"); ok {
		t.Error("a changed tool is served by its name")
	}
	if got := r.see(tools(tool("a", "one"), tool("b", "x"))); !strings.Contains(got, `"one"`) {
		t.Errorf("a is as it was, and not served: %s", got)
	}
	if want := []string{"tools/changed tool a", "tools/restored tool a"}; !cmp.Equal(r.told(), want) {
		t.Errorf("events %v; want %v", r.told(), want)
	}
}

func TestARestoredDefinitionIsToldOfAfterARestart(t *testing.T) {
	r := fresh(t, FirstUse)
	r.see(tools(tool("a", "one")))
	r.see(tools(tool("a", "two")))
	r = r.again(t, FirstUse)
	r.see(tools(tool("a", "two")))
	if len(r.events) != 0 {
		t.Errorf("what was told before is told again: %v", r.told())
	}
	r.see(tools(tool("a", "one")))
	if want := []string{"tools/restored tool a"}; !cmp.Equal(r.told(), want) {
		t.Errorf("events %v; want %v", r.told(), want)
	}
}

func TestAnotherFormOfTheSameDefinitionIsServedAsItWasPinned(t *testing.T) {
	r := fresh(t, FirstUse)
	pinned := `{"tools":[{"name":"a","description":"ä","inputSchema":{"type":"object","maximum":1.0}}]}`
	r.see(tools(`{"name":"a","description":"ä","inputSchema":{"type":"object","maximum":1.0}}`))
	got := r.see(tools(`{ "inputSchema" : {"maximum":1.0,"type":"object"},"description":"\u00e4", "name":"a" }`))
	if got != pinned || len(r.events) != 0 {
		t.Errorf("served %s with events %v; want %s", got, r.told(), pinned)
	}
}

func TestARemovedToolKeepsItsPin(t *testing.T) {
	r := fresh(t, FirstUse)
	r.see(tools(tool("a", "one")))
	r.see(tools())
	if got := r.see(tools(tool("a", "two"))); got != `{"tools":[]}` {
		t.Errorf("a tool that went and came back as another is served: %s", got)
	}
}

func TestRequiredServesNothingThatNobodyHasReviewed(t *testing.T) {
	r := fresh(t, Required)
	if got := r.see(tools(tool("a", "one"))); got != `{"tools":[]}` {
		t.Errorf("served %s", got)
	}
	r.approve(t, "a")
	if got := r.see(tools(tool("a", "one"))); !strings.Contains(got, `"one"`) {
		t.Errorf("what was reviewed is not served: %s", got)
	}
	if !r.Server("s").Reviewed(Tool, "a", catalog.Digest([]byte(tool("a", "one")))) || r.Server("s").Reviewed(Tool, "a", catalog.Digest([]byte(tool("a", "two")))) {
		t.Error("Reviewed does not tell what was reviewed from what was not")
	}
	if len(r.events) != 0 {
		t.Errorf("what is new has not changed: %v", r.told())
	}
}

func TestWhatWasPinnedAtFirstSightIsNoReview(t *testing.T) {
	r := fresh(t, FirstUse)
	r.see(tools(tool("a", "one")))
	r = r.again(t, Required)
	if got := r.see(tools(tool("a", "one"))); got != `{"tools":[]}` {
		t.Errorf("served %s", got)
	}
}

func TestAnotherEraIsNoSecondFirstSight(t *testing.T) {
	r := fresh(t, FirstUse)
	r.Server("s").See([2]*Shown{wire.Legacy: tools(tool("a", "one"), tool("b", "one"))})
	out := r.Server("s").See([2]*Shown{wire.Modern: tools(tool("a", "poison"), tool("b", "one")), wire.Legacy: tools(tool("a", "one"), tool("b", "one"))})
	if got := string(out[wire.Modern].Tools[0].Result); got != `{"tools":[`+tool("b", "one")+`]}` {
		t.Errorf("the newer era is served %s", got)
	}
	if want := []string{"tools/changed tool a"}; !cmp.Equal(r.told(), want) {
		t.Errorf("events %v; want %v", r.told(), want)
	}
}

func TestErasThatDifferAtFirstSightAreBothPinned(t *testing.T) {
	r := fresh(t, FirstUse)
	both := [2]*Shown{wire.Modern: tools(tool("a", "new")), wire.Legacy: tools(tool("a", "old"))}
	for range 2 {
		out := r.Server("s").See(both)
		for era, want := range []string{wire.Modern: tool("a", "new"), wire.Legacy: tool("a", "old")} {
			if got := string(out[era].Tools[0].Result); got != `{"tools":[`+want+`]}` {
				t.Errorf("%s: served %s; want %s", wire.Era(era), got, want)
			}
		}
		r = r.again(t, FirstUse)
	}
}

func TestNothingNewIsServedThatIsNotOnDisk(t *testing.T) {
	dir := t.TempDir()
	r := open(t, filepath.Join(dir, "sub", FileName), FirstUse)
	r.see(tools(tool("a", "one"), tool("c", "one")))
	if err := os.Rename(filepath.Join(dir, "sub"), filepath.Join(dir, "away")); err != nil {
		t.Fatal(err)
	}
	if got := r.see(tools(tool("a", "one"), tool("b", "new"), tool("c", "two"))); got != `{"tools":[`+tool("a", "one")+`]}` {
		t.Errorf("served %s", got)
	}
	if err := os.Rename(filepath.Join(dir, "away"), filepath.Join(dir, "sub")); err != nil {
		t.Fatal(err)
	}
	if got := r.see(tools(tool("a", "one"), tool("b", "new"), tool("c", "two"))); !strings.Contains(got, `"new"`) {
		t.Errorf("b is not pinned although the file can be written again: %s", got)
	}
}

func TestTwoDefinitionsOfOneNameAreOff(t *testing.T) {
	r := fresh(t, FirstUse)
	r.see(tools(tool("a", "one")))
	if got := r.see(tools(tool("a", "one"), tool("a", "two"))); got != `{"tools":[]}` {
		t.Errorf("served %s", got)
	}
	if len(r.events) != 1 || r.events[0].Why != "two definitions have this name" {
		t.Errorf("events %+v", r.events)
	}
}

func TestPromptsTemplatesAndInstructionsArePinnedLikeTools(t *testing.T) {
	shown := func(v string) *Shown {
		return &Shown{Tools: list("tools"), Prompts: list("prompts", `{"name":"p","description":"`+v+`"}`),
			Templates:    list("resourceTemplates", `{"name":"t","uriTemplate":"file:///{x}","description":"`+v+`"}`),
			Instructions: []byte(`"` + v + `"`)}
	}
	r := fresh(t, FirstUse)
	for _, tt := range []struct{ v, want string }{{"one", "one"}, {"two", ""}, {"one", "one"}} {
		out := r.Server("s").See([2]*Shown{wire.Modern: shown(tt.v)})[wire.Modern]
		for what, got := range map[string][]byte{"prompts": out.Prompts[0].Result, "templates": out.Templates[0].Result, "instructions": out.Instructions} {
			if has := strings.Contains(string(got), tt.v); has != (tt.want != "") {
				t.Errorf("%s show %s when they are %s", what, got, tt.v)
			}
		}
	}
	want := []string{"tools/changed instructions ", "tools/changed prompt p", "tools/changed template file:///{x}",
		"tools/restored instructions ", "tools/restored prompt p", "tools/restored template file:///{x}"}
	told := r.told()
	if !cmp.Equal(sorted(told), want) {
		t.Errorf("events %v; want %v", told, want)
	}
}

func TestOneProcessWritesTheFile(t *testing.T) {
	r := fresh(t, FirstUse)
	_, err := Open(r.path, Options{})
	if !errors.Is(err, ErrLocked) || !strings.Contains(fmt.Sprint(err), "a gateway that runs, or a command; stop it, or use another state directory") {
		t.Errorf("a second store: %v", err)
	}
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

var timeZero = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// TestReadersWaitForNobody reads while others write; with -race it shows that nothing is shared.
func TestReadersWaitForNobody(t *testing.T) {
	r := fresh(t, FirstUse)
	r.see(tools(tool("a", "one"), tool("b", "x")))
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			p := r.Server("s")
			for {
				select {
				case <-done:
					return
				default:
				}
				if v, ok := p.Serves(wire.Modern, Tool, "b"); !ok || string(v) != tool("b", "x") {
					t.Errorf("b is %s, %v", v, ok)
					return
				}
				p.Reviewed(Tool, "a", digestOf("a", "one"))
				p.Live(wire.Modern, Tool, "a", []byte(tool("a", "two")))
				r.List(Selection{})
			}
		})
	}
	for i := range 20 {
		r.see(tools(tool("a", fmt.Sprint(i)), tool("b", "x")))
		r.approve(t, "a")
	}
	close(done)
	readers.Wait()
}
