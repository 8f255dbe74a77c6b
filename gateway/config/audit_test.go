package config

import (
	"strings"
	"testing"
)

// recipient is nobody's: its identity was not kept.
const recipient = "age1c6zvap5h49mzvw4yfe6qy3ll4pz7g2mcfquzxl9v5rjeeanrsqlsu7f5yp"

func TestWhoeverOpensInputsMustBeNamedWell(t *testing.T) {
	for _, tt := range []struct{ audit, want string }{
		{"inputs: sealed", "audit.recipients: there is no recipient; `age-keygen -o audit.key` makes an identity and prints its recipient (age1…)"},
		{"inputs: sealed, recipients: [age1oops]", "audit.recipients: recipient 1 is no age recipient (age1…)"},
		{"inputs: sealed, recipients: [" + recipient + ", AGE-SECRET-KEY-1HUNTER2]",
			"audit.recipients: recipient 2 is an identity, which opens inputs; keep it away from here and name its recipient: age-keygen -y FILE"},
		{"inputs: clear, recipients: [" + recipient + "]", "audit.recipients: nobody needs them while audit.inputs is clear; set audit.inputs to sealed, or take them out"},
		{"inputs: all", `audit.inputs: "all" is none of none, clear and sealed`},
	} {
		_, err := Load(write(t, "sallyport.yaml", minimal+"audit: {"+tt.audit+"}\n"), nil)
		if err == nil || !strings.HasSuffix(err.Error(), tt.want) {
			t.Errorf("%s: %v\nwant %s", tt.audit, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "HUNTER2") {
			t.Errorf("%s: the message holds the identity", tt.audit)
		}
	}
}
