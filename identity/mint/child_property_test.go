package mint

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sallyport/identity/grant"
)

// Whatever grant there is and whatever the holder of its token asks the token endpoint for: either it is
// refused, or every right of the child is one of its parent's, whatever the tool.
func TestChildHasNoRightThatItsParentHasNot(t *testing.T) {
	b := newBooth(t)
	made, refused := 0, 0
	patterns := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"files.*", "files.read_*", "files.read_file", "*.read_*", "mail.send", "mail.*", "*.*"}), 0, 3, rapid.ID[string])
	roles := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"reader", "writer"}), 1, 2, rapid.ID[string])
	constraints := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) grant.Constraint {
		return grant.Constraint{Tools: rapid.SampledFrom([]string{"files.*", "*.read_*", "mail.send"}).Draw(t, "of"),
			Schema: []byte(rapid.SampledFrom([]string{`{"maxProperties":1}`, `{"maxProperties":2}`}).Draw(t, "schema"))}
	}), 0, 2)
	budgets := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) grant.Budget {
		return grant.Budget{Tools: rapid.SampledFrom([]string{"files.*", "mail.send"}).Draw(t, "of"), Calls: rapid.Int64Range(1, 4).Draw(t, "calls")}
	}), 0, 2, func(b grant.Budget) string { return b.Tools })
	rapid.Check(t, func(rt *rapid.T) {
		ask := Ask{Roles: roles.Draw(rt, "roles"), Tools: patterns.Draw(rt, "tools"), Args: constraints.Draw(rt, "arguments"), Budgets: budgets.Draw(rt, "budgets"),
			MaxCalls: rapid.Int64Range(0, 5).Draw(rt, "calls"), TTL: time.Duration(rapid.IntRange(60, 7200).Draw(rt, "seconds")) * time.Second}
		parent, err := b.Grant(t.Context(), dev(), ask)
		if err != nil {
			return // such as more roles' tools than a pattern names
		}
		defer b.end(parent.ID)
		token, shown := b.token(dev(), TokenAsk{Grant: parent.ID})
		wish := map[string]any{"type": "mcp_grant"}
		for _, m := range []struct {
			name  string
			value any
		}{
			{"roles", roles.Draw(rt, "child's roles")}, {"tools", patterns.Draw(rt, "child's tools")}, {"args", constraints.Draw(rt, "child's arguments")},
			{"budgets", budgets.Draw(rt, "child's budgets")}, {"max_calls", rapid.Int64Range(1, 6).Draw(rt, "child's calls")}, {"expires_in", rapid.IntRange(60, 9000).Draw(rt, "child's seconds")},
		} {
			if rapid.Bool().Draw(rt, "with "+m.name) {
				wish[m.name] = m.value
			}
		}
		details, err := json.Marshal([]any{wish})
		if err != nil {
			rt.Fatal(err)
		}
		a := b.post(TokenPath, exchangeOf(token, typeAccess, string(details)))
		if a.status != 200 {
			if a.Token != "" {
				rt.Fatalf("%s: %d with a token", details, a.status)
			}
			refused++
			return
		}
		made++
		who := b.principal(a)
		p, c := b.live(parent.ID), b.live(who.Grant)
		is := c.Grant()
		if is.Parent != parent.ID || is.Subject != parent.Subject || is.Issuer != parent.Issuer || is.Expires.After(parent.Expires) || who.Expires.After(shown.Expires) ||
			slices.ContainsFunc(who.Roles, func(r string) bool { return !slices.Contains(parent.Roles, r) }) {
			rt.Fatalf("%s of %+v: %+v for %+v", details, parent, is, who)
		}
		used := map[string]int64{}
		for _, server := range []string{"files", "mail", "other"} {
			for _, tool := range []string{"read_file", "read_all", "write_file", "send"} {
				if c.Allows(server, tool) && !p.Allows(server, tool) {
					rt.Fatalf("%s of %+v allows %s.%s", details, parent, server, tool)
				}
				for _, want := range p.Constraints(server, tool) {
					if !slices.ContainsFunc(c.Constraints(server, tool), func(has grant.Constraint) bool {
						return has.Tools == want.Tools && string(has.Schema) == string(want.Schema)
					}) {
						rt.Fatalf("%s of %+v: arguments of %s.%s are not held to %s", details, parent, server, tool, want.Schema)
					}
				}
				for range 3 {
					if _, err := c.Reserve(server, tool, grant.Cost{}); err == nil {
						used[server+"."+tool]++
						used["all"]++
						if server == "files" {
							used["files.*"]++
						}
					}
				}
			}
		}
		bounds := map[string]int64{"all": parent.MaxCalls}
		for _, budget := range parent.Budgets {
			bounds[budget.Tools] = budget.Calls
		}
		for of, most := range bounds {
			if most > 0 && used[of] > most {
				rt.Fatalf("%s of %+v makes %d calls of %s", details, parent, used[of], of)
			}
		}
	})
	if made == 0 || refused == 0 {
		t.Errorf("%d children made, %d refused: the test is one-sided", made, refused)
	}
}

func (b *booth) live(id string) *grant.Live {
	b.t.Helper()
	l, err := b.cfg.Grants.Find(id)
	if err != nil {
		b.t.Fatal(err)
	}
	return l
}
