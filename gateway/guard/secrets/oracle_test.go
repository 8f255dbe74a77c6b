package secrets

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/zricethezav/gitleaks/v8/config"
	"github.com/zricethezav/gitleaks/v8/detect"

	"sallyport/gateway/guard/secrets/secretstest"
	"sallyport/internal/corpora"
)

// sample is what the library generates for one of its rules.
type sample struct {
	Rule  string   `json:"rule"`
	True  []string `json:"true_positives"`
	False []string `json:"false_positives"`
}

func samples(t testing.TB) []sample {
	t.Helper()
	raw, err := os.ReadFile(corpora.Dir(t, "gitleaks") + "/samples.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var all []sample
	for line := range bytes.Lines(raw) {
		var s sample
		if err := json.Unmarshal(line, &s); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

// oracle is the library's own detector, without its mark that tells it to look away.
var oracle = sync.OnceValues(func() (*detect.Detector, error) { return detect.NewDetectorDefaultConfig() })

// detected are the secrets that the library finds, by rule: with the one rule that is named, for
// with all of them it takes a while, or with all.
func detected(t testing.TB, text string, id string) map[string][]string {
	t.Helper()
	d, err := oracle()
	if err != nil {
		t.Fatal(err)
	}
	if id != allRules {
		c := d.Config
		r, ok := c.Rules[id]
		if !ok {
			t.Fatalf("the library has no rule %s", id)
		}
		c.Rules, c.Keywords = map[string]config.Rule{id: r}, map[string]struct{}{}
		for _, k := range r.Keywords {
			c.Keywords[k] = struct{}{}
		}
		d = detect.NewDetector(c)
	}
	d.IgnoreGitleaksAllow = true
	found := map[string][]string{}
	for _, f := range d.DetectString(text) {
		found[f.RuleID] = append(found[f.RuleID], f.Secret)
	}
	return found
}

const allRules = "all"

func newScanner(t testing.TB, o Options) *Scanner {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestRulesFindWhatTheLibraryFinds holds every finding of the library's detector on the samples
// that its rules generate against ours: the same rule, over the same secret. Of generic rules the
// secret is enough, since they give way to others on more occasions here. A dozen samples are one
// text; on every tenth rule's the library uses all of its rules.
func TestRulesFindWhatTheLibraryFinds(t *testing.T) {
	s := newScanner(t, Options{})
	compared := 0
	for i, sample := range samples(t) {
		id := sample.Rule
		if i%10 == 0 {
			id = allRules
		}
		for some := range slices.Chunk(slices.Concat(sample.True, sample.False), 12) {
			compared += compare(t, s, strings.Join(some, "\n\n"), id)
		}
	}
	if compared < 2500 {
		t.Errorf("compared %d findings; the samples hold at least 2500", compared)
	}
}

// compare holds the library's findings in text against ours and returns how many they are.
func compare(t *testing.T, s *Scanner, text, id string) (n int) {
	t.Helper()
	r := s.Text([]byte(text))
	if !r.Complete {
		t.Errorf("scan of %q stopped: %s", text, r.Why)
	}
	ours := map[string][]string{}
	for _, f := range r.Findings {
		ours[f.Rule] = append(ours[f.Rule], text[f.Start:f.End])
		ours[anyRule] = append(ours[anyRule], text[f.Start:f.End])
	}
	for rule, secrets := range detected(t, text, id) {
		if strings.Contains(rule, "generic") {
			rule = anyRule
		}
		for _, secret := range secrets {
			n++
			if !slices.ContainsFunc(ours[rule], func(span string) bool { return strings.Contains(span, secret) }) {
				t.Errorf("the library finds %q by %s in %q; got %q", secret, rule, text, ours[rule])
			}
		}
	}
	return n
}

const anyRule = "any"

// TestSamplesThatAreNoSecretsAreLeftAlone counts the samples that a rule must not find and does.
// Some are secrets of another rule, which is no mistake.
func TestSamplesThatAreNoSecretsAreLeftAlone(t *testing.T) {
	s := newScanner(t, Options{})
	all, wrong := 0, 0
	for _, sample := range samples(t) {
		for _, text := range sample.False {
			all++
			found := s.Text([]byte(text)).Findings
			if len(found) == 0 {
				continue
			}
			theirs := detected(t, text, allRules)
			for _, f := range found {
				if _, ok := theirs[f.Rule]; !ok || f.Rule == sample.Rule {
					wrong++
					t.Logf("%s in %q, which is no %s", f.Rule, text, sample.Rule)
				}
			}
		}
	}
	if all < 100 || wrong*20 > all {
		t.Errorf("%d of %d samples found that are none; want at most 5 percent of at least 100", wrong, all)
	}
}

// TestSecretsAreFoundInEveryEncoding takes samples of each rule in turns, a different encoding for
// each. The group scan of test/bench takes all in all.
func TestSecretsAreFoundInEveryEncoding(t *testing.T) {
	s := newScanner(t, Options{})
	tried, found := map[string]int{}, map[string]int{}
	turn, ways := 0, secretstest.Undone()
	for _, sample := range samples(t) {
		for _, text := range sample.True[:min(8, len(sample.True))] {
			want := s.Text([]byte(text)).Findings
			if len(want) == 0 || len(want[0].Via) > 0 {
				continue
			}
			turn++
			e := ways[turn%len(ways)]
			doc := []byte(`{"content":[{"type":"text","text":` + secretstest.JSON(e.Do(text)) + `}]}`)
			tried[e.Name]++
			if slices.ContainsFunc(s.JSON(doc).Findings, func(f Finding) bool { return f.Rule == want[0].Rule }) {
				found[e.Name]++
			} else {
				t.Logf("%s: %s not found in %s", e.Name, want[0].Rule, doc)
			}
		}
	}
	for _, e := range ways {
		if n := tried[e.Name]; n < 25 || n-found[e.Name] > 1 {
			t.Errorf("%s: found %d of %d; want all but one of at least 25", e.Name, found[e.Name], n)
		}
	}
}
