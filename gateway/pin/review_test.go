package pin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/gateway/catalog"
	"sallyport/gateway/wire"
)

func one(name string) Selection { return Selection{Server: "s", Kind: Tool, Name: name, Named: true} }

func digestOf(name, description string) string {
	return catalog.Digest([]byte(tool(name, description)))
}

func TestAnApprovedChangeIsServedAndOnRecord(t *testing.T) {
	r := fresh(t, FirstUse)
	var asked []string
	r.o.Changed = func(server string) { asked = append(asked, server) }
	r.see(tools(tool("a", "one")))
	r.see(tools(tool("a", "two")))
	got, err := r.Approve(t.Context(), "user ada", one("a"), digestOf("a", "two"))
	if err != nil || len(got) != 1 || got[0].State != Reviewed || got[0].Digest != digestOf("a", "two") || got[0].Review.By != "user ada" {
		t.Fatalf("Approve = %+v, %v", got, err)
	}
	want := []Act{{Method: ActApprove, By: "user ada", Server: "s", Name: "a", Digest: digestOf("a", "two"), Instead: digestOf("a", "one")}}
	if diff := cmp.Diff(want, r.acts); diff != "" {
		t.Errorf("acts (-want +got):\n%s", diff)
	}
	if !cmp.Equal(asked, []string{"s"}) {
		t.Errorf("a refresh was asked of %v", asked)
	}
	r = r.again(t, Required)
	if served := r.see(tools(tool("a", "two"))); !strings.Contains(served, `"two"`) {
		t.Errorf("served %s", served)
	}
	if served := r.see(tools(tool("a", "one"))); served != `{"tools":[]}` {
		t.Errorf("what was there before the review is served: %s", served)
	}
}

func TestADigestApprovesNothingElse(t *testing.T) {
	r := fresh(t, FirstUse)
	r.see(tools(tool("a", "one")))
	r.see(tools(tool("a", "two")))
	r.see(tools(tool("a", "three"))) // since it was looked at
	_, err := r.Approve(t.Context(), "user ada", one("a"), digestOf("a", "two"))
	want := "not approved: what is there now is [" + digestOf("a", "three") + "], not " + digestOf("a", "two") + "; look at it with `sallyport tools diff`"
	if !errors.Is(err, ErrRefused) || err.Error() != want {
		t.Errorf("Approve = %v; want %s", err, want)
	}
	if len(r.acts) != 0 {
		t.Errorf("acts %v", r.acts)
	}
}

func TestAReviewOfWhatNobodyHasSeenIsRefused(t *testing.T) {
	r := fresh(t, FirstUse)
	_, err := r.Approve(t.Context(), "user ada", one("a"), "")
	if want := "not approved: no such definition was ever seen; `sallyport tools list` shows what was"; !errors.Is(err, ErrRefused) || err.Error() != want {
		t.Errorf("Approve = %v; want %s", err, want)
	}
	if _, err := r.Approve(t.Context(), "", Selection{}, ""); fmt.Sprint(err) != "approve: by whom?" {
		t.Errorf("a review by nobody: %v", err)
	}
}

func TestAReviewThatIsNotOnRecordOrOnDiskDoesNotCount(t *testing.T) {
	for what, breakIt := range map[string]func(*rig){
		"record": func(r *rig) { r.o.Record = func(context.Context, Act) error { return errors.New("disk full") } },
		"disk":   func(r *rig) { _ = os.RemoveAll(strings.TrimSuffix(r.path, "/"+FileName)) },
	} {
		r := fresh(t, Required)
		r.see(tools(tool("a", "one")))
		breakIt(r)
		if _, err := r.Approve(t.Context(), "user ada", one("a"), ""); err == nil {
			t.Errorf("%s: Approve did not fail", what)
		}
		if got := r.see(tools(tool("a", "one"))); got != `{"tools":[]}` {
			t.Errorf("%s: served %s", what, got)
		}
		if got := r.List(Selection{})[0]; got.State != New || got.Review != nil {
			t.Errorf("%s: listed as %+v", what, got)
		}
	}
}

func TestAReviewOfManyTakesWhatIsThereNow(t *testing.T) {
	r := fresh(t, FirstUse)
	r.see(tools(tool("a", "one"), tool("gone", "one")))
	r.see(tools(tool("a", "two"), tool("b", "one"), tool("evil", "\u202e")))
	got, err := r.Approve(t.Context(), "user ada", Selection{}, "")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range got {
		names = append(names, e.Name)
	}
	if want := []string{"a", "b"}; !cmp.Equal(names, want) {
		t.Errorf("approved %v; want %v", names, want)
	}
	if again, err := r.Approve(t.Context(), "user bob", Selection{}, ""); err != nil || len(again) != 0 {
		t.Errorf("what was reviewed is reviewed again: %v, %v", again, err)
	}
}

func TestAReviewTakesBothEras(t *testing.T) {
	r := fresh(t, Required)
	both := [2]*Shown{wire.Modern: tools(tool("a", "new")), wire.Legacy: tools(tool("a", "old"))}
	r.Server("s").See(both)
	r.approve(t, "a")
	for era, pages := range r.Server("s").See(both) {
		if got := string(pages.Tools[0].Result); got == `{"tools":[]}` {
			t.Errorf("%s: nothing is served", wire.Era(era))
		}
	}
	if len(r.acts) != 2 {
		t.Errorf("two definitions were approved; acts %v", r.acts)
	}
}

func TestWhatSteersATerminalIsNeverServed(t *testing.T) {
	for _, text := range []string{"\u001b[2K", "\u009b31m", "\u202eabc", "\u2066", "\U000e0049", "\u0007"} {
		r := fresh(t, FirstUse)
		raw := strings.Replace(whole, "where", text, 1)
		if text < " " {
			raw = strings.Replace(whole, "where", fmt.Sprintf(`\u%04x`, text[0])+text[1:], 1)
		}
		if got := r.see(tools(raw)); got != `{"tools":[]}` {
			t.Errorf("%q: served %s", text, got)
		}
		_, err := r.Approve(t.Context(), "user ada", one("t"), "")
		if !errors.Is(err, ErrRefused) || !strings.HasPrefix(err.Error(), "not approved: inputSchema.properties.path.description: U+") || !strings.HasSuffix(err.Error(), " at byte 0; no review makes it servable") {
			t.Errorf("%q: Approve = %v", text, err)
		}
		if e := r.List(Selection{})[0]; e.State != Hidden || e.Problem == "" {
			t.Errorf("%q: listed as %s, problem %q", text, e.State, e.Problem)
		}
	}
}

func TestHiddenTextIsServedOnlyAfterAReview(t *testing.T) {
	r := fresh(t, FirstUse)
	raw := strings.Replace(whole, "where", "zero\u200bwidth", 1)
	if got := r.see(tools(raw)); got != `{"tools":[]}` {
		t.Errorf("served %s", got)
	}
	e := r.List(Selection{})[0]
	want := Finding{Rule: FindingHidden, What: "inputSchema.properties.path.description: U+200B ZERO WIDTH SPACE at byte 4"}
	if e.State != New || len(e.Findings) == 0 || e.Findings[0] != want {
		t.Errorf("listed as %s with %v; want new with %v", e.State, e.Findings, want)
	}
	r.approve(t, "t")
	if got := r.see(tools(raw)); !strings.Contains(got, "zero\u200bwidth") {
		t.Errorf("what was reviewed is not served: %s", got)
	}
}

func TestStatesAreToldApart(t *testing.T) {
	r := fresh(t, FirstUse)
	r.see(tools(tool("seen", "x"), tool("ok", "x"), tool("other", "x"), tool("left", "x"), `{"name":"bad","inputSchema":{"type":"objekt"}}`))
	r.approve(t, "ok")
	r.see(tools(tool("seen", "x"), tool("ok", "x"), tool("other", "y"), `{"name":"bad","inputSchema":{"type":"objekt"}}`, tool("soft", "\u00ad")))
	got := map[string]State{}
	served := ""
	for _, e := range r.List(Selection{Server: "s"}) {
		got[e.Name] = e.State
		if e.Served {
			served += " " + e.Name
		}
	}
	want := map[string]State{"seen": Pinned, "ok": Reviewed, "other": Changed, "left": Gone, "bad": Hidden, "soft": New}
	if diff := cmp.Diff(want, got); diff != "" || served != " ok seen" {
		t.Errorf("states (-want +got):\n%s\nserved%s", diff, served)
	}
	r = r.again(t, FirstUse)
	for _, e := range r.List(Selection{}) {
		if e.State == Gone {
			t.Errorf("%s is gone before the server was asked", e.Name)
		}
	}
}

func TestAnotherModeAsksForARefreshOfEachServer(t *testing.T) {
	r := fresh(t, FirstUse)
	var asked []string
	r.o.Changed = func(server string) { asked = append(asked, server) }
	r.see(tools(tool("a", "one")))
	r.SetMode(FirstUse)
	r.SetMode(Required)
	if !cmp.Equal(asked, []string{"s"}) {
		t.Errorf("a refresh was asked of %v; want once of s", asked)
	}
	if got := r.see(tools(tool("a", "one"))); got != `{"tools":[]}` {
		t.Errorf("served %s", got)
	}
}

func TestDefinitionsOfOneServerHaveABoundTogether(t *testing.T) {
	r := fresh(t, FirstUse)
	var elements []string
	r.most = 1 << 20
	for i := range 12 {
		elements = append(elements, tool(fmt.Sprintf("t%03d", i), strings.Repeat("x", 100<<10)))
	}
	r.see(tools(elements...))
	entries := r.List(Selection{})
	last := entries[len(entries)-1]
	if want := "the server's definitions have over 1 MiB together; none more is kept"; last.State != Hidden || last.Problem != want || entries[0].State != Pinned {
		t.Errorf("%s is %s: %s; want %s", last.Name, last.State, last.Problem, want)
	}
}

func TestAServerCannotFillTheFile(t *testing.T) {
	r := fresh(t, Required)
	for i := range 50 {
		r.see(tools(tool(fmt.Sprintf("t%d", i), "x")))
	}
	if n := len(r.List(Selection{})); n != 1 {
		t.Errorf("%d names of a server that has one are kept", n)
	}
	huge := tool("huge", strings.Repeat("x", maxDefinition))
	r.see(tools(huge))
	want := fmt.Sprintf("the definition has %d bytes; the limit is %d", len(huge), maxDefinition)
	if e := r.List(Selection{})[0]; e.Problem != want || e.State != Hidden {
		t.Errorf("a definition over the limit: %s, %q; want %q", e.State, e.Problem, want)
	}
}
