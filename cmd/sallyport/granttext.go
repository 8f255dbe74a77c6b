package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"sallyport/identity/grant"
	"sallyport/internal/strictjson"
)

// plain is text of others, fit for a terminal: characters that it obeys, or that turn the
// direction of writing, are escaped.
func plain(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.QuoteToASCII(s)
	}
	return s
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return plain(s)
}

// table shows grants, one a line.
func table(grants []grant.Status, now time.Time) string {
	if len(grants) == 0 {
		return "no grants\n"
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "ID\tTASK\tSUBJECT\tROLES\tTOOLS\tCALLS\tENDS\tSTATE\tBOUND") // to memory
	for _, g := range grants {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", g.ID, orDash(g.Task), orDash(g.Subject),
			orDash(strings.Join(g.Roles, ",")), orDash(strings.Join(g.Tools, ",")), calls(g), ends(g, now), g.State, bound(g))
	}
	_ = w.Flush()
	return b.String()
}

// calls are how many of the grant's calls are used, of how many.
func calls(g grant.Status) string {
	if g.CallsLeft == nil {
		return strconv.FormatInt(g.Usage.Calls, 10)
	}
	return fmt.Sprintf("%d/%d", g.Usage.Calls, g.Usage.Calls+*g.CallsLeft)
}

// ends is when, seen from now; a grant that has ended did so some time ago.
func ends(g grant.Status, now time.Time) string {
	switch {
	case lives(g):
		return "in " + rough(g.Expires.Sub(now))
	case !g.Ended.IsZero():
		return rough(now.Sub(g.Ended)) + " ago"
	}
	return rough(now.Sub(g.Expires)) + " ago"
}

// rough is a duration to the second, and without seconds where hours count.
func rough(d time.Duration) string {
	d = d.Truncate(time.Second)
	if d >= time.Hour {
		return strings.TrimSuffix(d.Truncate(time.Minute).String(), "0s")
	}
	return d.String()
}

func bound(g grant.Status) string {
	switch {
	case g.JKT != "":
		return "key"
	case g.X5T != "":
		return "certificate"
	}
	return "no"
}

// page shows one grant in full.
func page(g grant.Status, now time.Time) string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, plain(value))
		}
	}
	line("id", g.ID)
	line("state", string(g.State))
	line("parent", g.Parent)
	line("task", g.Task)
	line("subject", g.Subject)
	line("issuer", g.Issuer)
	line("client", g.ClientID)
	line("acts through", strings.Join(g.Actors, ", "))
	line("roles", strings.Join(g.Roles, ", "))
	line("tools", strings.Join(g.Tools, ", "))
	for _, c := range g.Args {
		rule := "rego " + c.Rego
		if c.Rego == "" {
			rule = "schema " + string(c.Schema)
		}
		line("arguments of "+c.Tools, rule)
	}
	line("calls", calls(g))
	for _, budget := range g.Budgets {
		line("budget", fmt.Sprintf("%d calls of %s", budget.Calls, budget.Tools))
	}
	line("created", stamp(g.Created))
	line("not before", stamp(g.NotBefore))
	line("expires", stamp(g.Expires)+", "+ends(g, now))
	line("bound to", g.JKT+g.X5T)
	line("measured", g.Measured)
	line("approved by", g.ApprovedBy)
	line("reason", g.Reason)
	line("made through", g.Via)
	line("ended", stamp(g.Ended))
	line("ended by", g.EndedBy)
	line("ended why", g.EndedWhy)
	return b.String()
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// maxConstraints bounds a file of constraints, in bytes: more the gateway does not take.
const maxConstraints = 64 << 10

// constraintScope names what a constraint may have; schemas are the writer's own.
var constraintScope = strictjson.Only(strictjson.NewKeySet("tools", "schema", "rego"), nil)

// constraints reads the file of --args.
func constraints(file string) ([]grant.Constraint, error) {
	if file == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the constraints of arguments: %w", err)
	}
	if len(raw) > maxConstraints {
		return nil, fmt.Errorf("%s has %d bytes and constraints may have %d", file, len(raw), maxConstraints)
	}
	if err := strictjson.CheckScope(raw, strictjson.Limits{}, constraintScope); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	var list []grant.Constraint
	if err := d.Decode(&list); err != nil {
		return nil, errors.New(file + ": want a JSON array such as [{\"tools\": \"files.read_*\", \"schema\": {…}}]: " + strings.TrimPrefix(err.Error(), "json: "))
	}
	return list, nil
}
