package catalog

import (
	"bytes"
	"encoding/json"
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

func TestSuiteRequiredTestsAreRight(t *testing.T) {
	cases, refused := 0, map[string]bool{}
	for file, groups := range readSuite(t) {
		for _, g := range groups {
			name := file + ": " + g.Description
			s, err := Compile(g.Schema)
			if err != nil {
				refused[name] = true
				if want := refusedGroups[name]; want == "" || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: Compile = %v; want %q", name, err, want)
				}
				continue
			}
			for _, c := range g.Tests {
				cases++
				err := s.Validate(c.Data)
				if (err == nil) != c.Valid {
					t.Errorf("%s: %s: Validate(%s) = %v; want valid %v", name, c.Description, c.Data, err, c.Valid)
				}
			}
		}
	}
	for name := range refusedGroups {
		if !refused[name] {
			t.Errorf("%s: compiled; want it refused", name)
		}
	}
	if cases < 1200 {
		t.Errorf("ran %d cases; the suite has about 1,250 besides the refused groups", cases)
	}
}
