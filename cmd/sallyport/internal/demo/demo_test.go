package demo

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"sallyport/examples/policies"
)

// once tells the story with a policy and returns the page.
func once(t *testing.T, policy fs.FS) (string, error) {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	var page bytes.Buffer
	err := Run(t.Context(), Options{Listen: "127.0.0.1:0", Once: true, Out: &page, Program: "sallyport", Policies: policy})
	return page.String(), err
}

func unwrapped(page string) string { return strings.Join(strings.Fields(page), " ") }

func example(t *testing.T) fs.FS {
	t.Helper()
	example, err := policies.FS(policies.PhishingDefence)
	if err != nil {
		t.Fatal(err)
	}
	return example
}

func TestEveryStepComesOutAsTold(t *testing.T) {
	page, err := once(t, example(t))
	if err != nil {
		t.Fatalf("demo --once: %v\n%s", err, page)
	}
	for _, want := range []string{
		"Gone: ", "Every step came out as told",
		"only documents may be read, and nothing hidden or secret among them",
		"mail goes only to one address inside the company",
		"HTTP 401", "Unknown tool: web_post", "authz.rego:", "on disk before the call",
	} {
		if !strings.Contains(unwrapped(page), want) {
			t.Errorf("the page does not say %q:\n%s", want, page)
		}
	}
}

func TestThePageIsPlain(t *testing.T) {
	page, err := once(t, example(t))
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(page, "\n") {
		if len(line) > 80 {
			t.Errorf("line %d has %d columns: %s", i+1, len(line), line)
		}
		if j := strings.IndexFunc(line, func(r rune) bool { return r < ' ' || r > '~' }); j >= 0 {
			t.Errorf("line %d holds %q", i+1, line[j:])
		}
	}
}

// The story must be able to fail: with a policy that does not defend, or not let anything
// through, it says which steps came out otherwise.
func TestAnotherPolicyFails(t *testing.T) {
	for _, tt := range []struct {
		name, allow string
		want        []string
	}{
		{"allows everything", "allow := true", []string{"WRONG", "expected denied; the gateway decided allow", "things left that should not have", "a guest should see nothing"}},
		{"allows nothing", "allow := false", []string{"WRONG", "expected allow; the gateway decided unknown_tool", "an operator should see every tool"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			page, err := once(t, fstest.MapFS{"authz.rego": {Data: []byte("package mcp.authz\n\n" + tt.allow + "\n")}})
			if !errors.Is(err, ErrWrong) {
				t.Fatalf("demo with a policy that %s = %v; want ErrWrong\n%s", tt.name, err, page)
			}
			for _, want := range tt.want {
				if !strings.Contains(unwrapped(page), want) {
					t.Errorf("the page does not say %q:\n%s", want, page)
				}
			}
		})
	}
}

func TestAPolicyThatFailsItsOwnTestsIsNotRun(t *testing.T) {
	_, err := once(t, fstest.MapFS{
		"authz.rego":      {Data: []byte("package mcp.authz\n\nallow := true\n")},
		"authz_test.rego": {Data: []byte("package mcp.authz_test\n\ntest_denies if not data.mcp.authz.allow\n")},
	})
	if err == nil || errors.Is(err, ErrWrong) || !strings.Contains(err.Error(), "test test_denies failed") {
		t.Errorf("demo = %v; want the failing test", err)
	}
}
