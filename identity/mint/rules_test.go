package mint

import (
	"testing"

	"sallyport/identity/federate"
)

// Two rules may give one subject different roles. A token that only the lesser rule takes renews
// nothing that the other has given.
func TestTokenOfARuleDoesNotRenewWhatAnotherRuleGave(t *testing.T) {
	b := newBooth(t)
	prod := b.others[federate.SubjectToken]["subject"]
	prod.Rule, prod.Roles = "prod", []string{"reader", "writer"}
	b.others[federate.SubjectToken]["prod"] = prod
	lesser := prod
	lesser.Rule, lesser.Roles = "pull-request", []string{"reader"}
	b.others[federate.SubjectToken]["pr"] = lesser
	a := b.exchange("prod", `[{"type":"mcp_grant","roles":["writer"],"expires_in":86400}]`)
	if a.Token == "" {
		t.Fatal(a.body)
	}
	renew := `[{"type":"mcp_grant","grant":"` + a.Details[0].Grant + `"}]`
	if c := b.exchange("pr", renew); c.Token != "" || c.Error != "invalid_grant" {
		t.Errorf("by the rule pull-request: %s; want it refused", c.body)
	}
	if c := b.exchange("prod", renew); c.Token == "" {
		t.Errorf("by its own rule: %s", c.body)
	}
}
