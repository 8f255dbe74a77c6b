package catalog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/corpora"
)

type suiteGroup struct {
	Description string
	Schema      json.RawMessage
	Tests       []struct {
		Description string
		Data        json.RawMessage
		Valid       bool
	}
}

// Why a schema of the suite is refused on purpose. In both cases the suite wants a validator
// to fetch a document over HTTP, which a gateway must not do for an upstream.
const (
	remoteRef     = "refers to something outside the document, which is never loaded"
	customDialect = "is not a dialect that is understood"
)

// refusedGroups are the groups of the suite that are refused, by file and description.
var refusedGroups = map[string]string{
	"dynamicRef: $ref and $dynamicAnchor are independent of order - $defs first":        remoteRef,
	"dynamicRef: $ref and $dynamicAnchor are independent of order - $ref first":         remoteRef,
	"dynamicRef: $ref to $dynamicRef finds detached $dynamicAnchor":                     remoteRef,
	"dynamicRef: strict-tree schema, guards against misspelled properties":              remoteRef,
	"dynamicRef: tests for implementation dynamic anchor and reference link":            remoteRef,
	"refRemote: $ref to $ref finds detached $anchor":                                    remoteRef,
	"refRemote: Location-independent identifier in remote ref":                          remoteRef,
	"refRemote: anchor within remote ref":                                               remoteRef,
	"refRemote: base URI change - change folder in subschema":                           remoteRef,
	"refRemote: base URI change - change folder":                                        remoteRef,
	"refRemote: base URI change":                                                        remoteRef,
	"refRemote: fragment within remote ref":                                             remoteRef,
	"refRemote: ref within remote ref":                                                  remoteRef,
	"refRemote: remote HTTP ref with different $id":                                     remoteRef,
	"refRemote: remote HTTP ref with different URN $id":                                 remoteRef,
	"refRemote: remote HTTP ref with nested absolute ref":                               remoteRef,
	"refRemote: remote ref with ref to defs":                                            remoteRef,
	"refRemote: remote ref":                                                             remoteRef,
	"refRemote: retrieved nested refs resolve relative to their URI not $id":            remoteRef,
	"refRemote: root ref in remote ref":                                                 remoteRef,
	"vocabulary: ignore unrecognized optional vocabulary":                               customDialect,
	"vocabulary: schema that uses custom metaschema with with no validation vocabulary": customDialect,
}

func readSuite(t *testing.T) map[string][]suiteGroup {
	t.Helper()
	dir := corpora.Dir(t, "json-schema-test-suite", "tests", "draft2020-12")
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no suite files in %s: %v", dir, err)
	}
	suite := map[string][]suiteGroup{}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var groups []suiteGroup
		dec := json.NewDecoder(bytes.NewReader(data))
		if err := dec.Decode(&groups); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		suite[strings.TrimSuffix(filepath.Base(f), ".json")] = groups
	}
	return suite
}

// runSuite returns how many cases ran and everything that is not as it should be, given the
// groups that are to be refused.
func runSuite(suite map[string][]suiteGroup, exclusions map[string]string) (cases int, wrong []string) {
	fail := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	refused := map[string]bool{}
	for file, groups := range suite {
		for _, g := range groups {
			name := file + ": " + g.Description
			s, err := Compile(g.Schema)
			if err != nil {
				refused[name] = true
				if want := exclusions[name]; want == "" || !strings.Contains(err.Error(), want) {
					fail("%s: Compile = %v; want %q", name, err, want)
				}
				continue
			}
			for _, c := range g.Tests {
				cases++
				if err := s.Validate(c.Data); (err == nil) != c.Valid {
					fail("%s: %s: Validate(%s) = %v; want valid %v", name, c.Description, c.Data, err, c.Valid)
				}
			}
		}
	}
	for name := range exclusions {
		if !refused[name] {
			fail("%s: compiled; want it refused", name)
		}
	}
	return cases, wrong
}

func TestSuiteRequiredTestsAreRight(t *testing.T) {
	suite := readSuite(t)
	cases, wrong := runSuite(suite, refusedGroups)
	for _, w := range wrong {
		t.Error(w)
	}
	total := 0
	for _, groups := range suite {
		for _, g := range groups {
			total += len(g.Tests)
		}
	}
	if len(refusedGroups) != 22 || cases < 1200 || total-cases > 60 {
		t.Errorf("%d groups excluded, %d of %d cases ran; want 22, and all but about 50", len(refusedGroups), cases, total)
	}
	t.Logf("%d of %d cases right, %d groups refused for what lies outside the document", cases, total, len(refusedGroups))
}

// The list of exclusions is held to be exact, in both directions and with the reason.
func TestSuiteNoticesAWrongExclusion(t *testing.T) {
	suite := readSuite(t)
	for what, change := range map[string]func(map[string]string){
		"one too many":     func(m map[string]string) { m["type: integer type matches integers"] = remoteRef },
		"one that is not":  func(m map[string]string) { m["type: no such group"] = remoteRef },
		"one too few":      func(m map[string]string) { delete(m, "refRemote: remote ref") },
		"the wrong reason": func(m map[string]string) { m["refRemote: remote ref"] = customDialect },
	} {
		exclusions := maps.Clone(refusedGroups)
		change(exclusions)
		if _, wrong := runSuite(suite, exclusions); len(wrong) != 1 {
			t.Errorf("%s: %d complaints, %q; want 1", what, len(wrong), wrong)
		}
	}
	for _, groups := range suite {
		groups[0].Tests[0].Valid = !groups[0].Tests[0].Valid
		if _, wrong := runSuite(map[string][]suiteGroup{"f": groups[:1]}, nil); len(wrong) == 0 {
			t.Errorf("%s: a wrong answer went unnoticed", groups[0].Description)
		}
	}
}
