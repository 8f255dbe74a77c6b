package pin

// Finding is a hint for whoever reviews a definition. It decides nothing.
type Finding struct {
	Rule  string `json:"rule"`
	Where string `json:"where,omitempty"` // JSON pointer into the definition
	What  string `json:"what"`
}

// names are what all servers call their tools, for look-alikes.
type names struct{}

func (s *Store) names() *names { return &names{} }

func (n *names) findings(server string, k key, v *version) []Finding {
	var out []Finding
	if err := unseen(v.raw); err != nil {
		out = append(out, Finding{Rule: "hidden-text", What: err.Error()})
	}
	return out
}
