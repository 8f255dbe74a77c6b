package policies

import (
	"testing"

	"sallyport/policy"
	"sallyport/policy/workbench/lint"
)

// `sallyport policy check --strict` has nothing to say of an example, with the tools that it is about:
// every argument, tool and server that it names is there, every rule can hold, and nothing is slow.
func TestCheckIsSilent(t *testing.T) {
	for _, name := range Names() {
		found, err := lint.Run(t.Context(), name, policy.Options{}, lint.Setting{Catalogue: lint.CatalogueOf(catalogue(t, name))})
		if err != nil {
			t.Errorf("check %s: %v", name, err)
		}
		for _, f := range found {
			if f.Level == lint.Error || f.Level == lint.Warning {
				t.Errorf("check --strict of %s: %+v", name, f)
			}
		}
	}
}
