package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What only looking into files can tell is told with the line of the rule as well.
func TestIdentityIsCheckedAgainstItsFiles(t *testing.T) {
	file := write(t, "sallyport.yaml", minimal+`tls: {cert: c.pem, key: k.pem, clientCA: ca.pem}
identity:
  federation:
  - {name: ci, kind: private_key_jwt, clientID: ci, jwksFile: nothing.jwks, roles: [reader]}
  - {name: "a b", issuer: "https://idp.example", roles: [reader]}
`)
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "ca.pem"), []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := Load(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := cfg.CheckFiles()
	if got == nil {
		t.Fatal("nothing was wrong")
	}
	for _, want := range []string{
		"sallyport.yaml:2: tls.clientCA: certificates of clients ",
		"sallyport.yaml:5: identity.federation.0.jwksFile: ",
		"sallyport.yaml:6: identity.federation.1.name: ",
	} {
		if !strings.Contains(got.Error(), want) {
			t.Errorf("problems:\n%s\nwant %q among them", got, want)
		}
	}
}

func TestNotesNameWhatNobodyCanDoAndRolesThatNobodyKnows(t *testing.T) {
	cfg, err := Load(write(t, "sallyport.yaml", minimal+`identity:
  local: [{user: "70001", roles: [reder]}]
  federation: [{name: ci, issuer: "https://idp.example", roles: [reader]}]
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	if notes := strings.Join(cfg.Notes(), "\n"); !strings.Contains(notes, "identity.local names no operator") {
		t.Errorf("notes %q; want that there is no operator", notes)
	}
	got := cfg.strangeRoles(func(role string) error {
		if role == "reader" {
			return nil
		}
		return errors.New("no policy mentions the role " + role)
	})
	if diff := cmp.Diff([]string{"identity.local, user 70001: no policy mentions the role reder"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Without a word about it, the user of the process is the operator and nobody else is anybody.
func TestWithoutRulesTheOwnUserIsTheOperator(t *testing.T) {
	cfg, err := Load(write(t, "sallyport.yaml", minimal), nil)
	if err != nil {
		t.Fatal(err)
	}
	rules := cfg.localRules()
	if len(rules) != 1 || rules[0].UID != uint32(os.Getuid()) || !rules[0].Operator {
		t.Errorf("rules %+v; want the own user as operator", rules)
	}
	cfg, err = Load(write(t, "sallyport.yaml", minimal+"identity: {local: [{user: \"70001\", roles: [reader]}]}\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if rules := cfg.localRules(); len(rules) != 1 || rules[0].UID != 70001 || rules[0].Operator {
		t.Errorf("rules %+v; want what the configuration says and nobody else", rules)
	}
}
