package pin

import (
	"fmt"
	"time"
)

// Kind says what a definition is of.
type Kind uint8

// The kinds. Instructions are of the server itself and have no name.
const (
	Tool Kind = iota
	Prompt
	Template
	Instructions
)

var kinds = [...]struct{ one, section, member string }{
	Tool:         {"tool", "tools", "tools"},
	Prompt:       {"prompt", "prompts", "prompts"},
	Template:     {"template", "templates", "resourceTemplates"},
	Instructions: {"instructions", "instructions", ""},
}

// String is the kind as people write it: tool, prompt, template or instructions.
func (k Kind) String() string { return kinds[k].one }

// ParseKind reads what String writes.
func ParseKind(s string) (Kind, error) {
	for k := range kinds {
		if kinds[k].one == s {
			return Kind(k), nil
		}
	}
	return 0, fmt.Errorf("no kind is called %.40q: want tool, prompt, template or instructions", s)
}

// KindOf returns the kind of a list by the member that holds its elements, and false for a list
// that is not pinned.
func KindOf(member string) (Kind, bool) {
	for k := range kinds {
		if kinds[k].member == member && member != "" {
			return Kind(k), true
		}
	}
	return 0, false
}

// Mode says what is done with a definition that nobody has reviewed.
type Mode uint8

// The modes. The zero Mode serves nothing unreviewed.
const (
	Required Mode = iota // it is not served
	FirstUse             // it is pinned and served as it was at first sight
)

// ParseMode reads a mode as configurations write it.
func ParseMode(s string) (Mode, error) {
	switch s {
	case "required":
		return Required, nil
	case "firstUse":
		return FirstUse, nil
	}
	return Required, fmt.Errorf("pins: %.40q: want firstUse or required", s)
}

// Event is something that operators must hear of: it belongs into the audit record.
type Event struct {
	Method string // EventChanged or EventRestored
	Server string
	Kind   Kind
	Name   string // "" of instructions
	Pinned string // digest of the pinned definition
	Seen   string // digest of what the server shows instead; of what it showed, where it is restored
	Why    string // a sentence, without text of the server
}

// The events.
const (
	EventChanged  = "tools/changed"  // a definition has left its pin, and is off
	EventRestored = "tools/restored" // it is back, and served again
)

// Act is a review: by whom, and of what.
type Act struct {
	Method  string // ActApprove or ActPin
	By      string // who, as the kernel or the system names the user
	Server  string
	Kind    Kind
	Name    string
	Digest  string // of what is approved
	Instead string // digest of what was pinned before; "" where nothing was
}

// The acts.
const (
	ActApprove = "tools/approve" // of one definition by its name
	ActPin     = "tools/pin"     // of all that is there
)

// Review says who has looked at a definition, and when.
type Review struct {
	By string    `json:"by"`
	At time.Time `json:"at"`
}
