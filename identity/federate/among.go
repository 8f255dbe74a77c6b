package federate

import (
	"slices"
	"strings"
)

// fits looks at a rule among those above it.
func (r *rule) fits(above []*rule) *RuleError {
	for _, other := range above {
		switch {
		case other.Name == r.Name:
			return fault("name", "is that of a rule above; names tell rules apart in the record")
		case other.issuer() == r.issuer() && other.Kind == r.Kind && other.sourceName() != r.sourceName():
			return fault(r.keysFrom(), "rule %s above is for the same issuer with keys from elsewhere; an issuer has one set of keys", other.Name)
		case other.hides(r):
			return fault("", "never decides: rule %s above takes every token that fits this one, and the first that fits decides; put this one above it", other.Name)
		case (other.sourceName() != r.sourceName() || other.Subject != r.Subject) && other.subject.meets(r.subject):
			return fault("subject", "can give the same subject as that of rule %s to somebody else; begin each with another word, as its rule's name", other.Name)
		}
	}
	return nil
}

// hides reports whether the rule takes every token that the other one, below it, fits.
func (r *rule) hides(below *rule) bool {
	if r.issuer() != below.issuer() || r.Kind != below.Kind || r.Audience != below.Audience || r.MaxLifetime < below.MaxLifetime {
		return false
	}
	for name, value := range r.Require {
		if below.Require[name] != value {
			return false
		}
	}
	// What must have a value must be there too.
	for _, claim := range r.subject.claims {
		if claim.name != "sub" && below.Require[claim.name] == "" && !slices.ContainsFunc(below.subject.claims, func(c requirement) bool { return c.name == claim.name }) {
			return false
		}
	}
	for _, name := range r.RequireClaim {
		if below.Require[name] == "" && !slices.Contains(below.RequireClaim, name) {
			return false
		}
	}
	return true
}

// immutable names, for a claim that can be renamed or given to another, the one that cannot.
var immutable = map[string]string{
	"repository": "repository_id", "repository_owner": "repository_owner_id", "actor": "actor_id", // GitHub
	"project_path": "project_id", "namespace_path": "namespace_id", "user_login": "user_id", "user_email": "user_id", // GitLab
	"email": "sub", "preferred_username": "sub", "name": "sub", "nickname": "sub", "upn": "oid", "unique_name": "oid", // OpenID Connect, Entra
	"kubernetes.io/serviceaccount/name": "kubernetes.io/serviceaccount/uid", "kubernetes.io/pod/name": "kubernetes.io/pod/uid",
}

// public are issuers of whom anybody can have a token, with the claims that tell whose it is.
var public = map[string]string{
	"https://token.actions.githubusercontent.com": "repository_id",
	"https://gitlab.com":                          "project_id",
	"https://accounts.google.com":                 "sub",
}

func anybodys(issuer string) bool      { return public[issuer] != "" }
func immutableOf(issuer string) string { return public[issuer] }

// Notes says what the rules leave open, for the operator to judge: rules that take every token of
// an issuer, and names where an id that never changes would do. Each is a line that begins with
// the rule's name.
func (f *Federation) Notes() []string {
	if f == nil {
		return nil
	}
	var notes []string
	for _, r := range f.rules {
		for _, note := range r.notes() {
			notes = append(notes, "federation rule "+r.Name+": "+note)
		}
	}
	return notes
}

func (r *rule) notes() (notes []string) {
	if r.Kind != privateKeyJWT && len(r.require) == 0 {
		notes = append(notes, "takes every token that its issuer signs for this audience; name under require whose it must be")
	}
	for _, q := range r.require {
		id := immutable[q.name]
		if id == "" && q.name == "sub" && strings.HasPrefix(q.want, "repo:") {
			id = "repository_id"
		}
		if id != "" && r.Require[id] == "" {
			notes = append(notes, "requires "+q.name+", which can be renamed or given to another; require "+id+" too")
		}
	}
	for _, claim := range r.subject.claims {
		if id := immutable[claim.name]; id != "" && r.Require[id] == "" && !slices.ContainsFunc(r.subject.claims, func(c requirement) bool { return c.name == id }) {
			notes = append(notes, "makes the subject of "+claim.name+", which can be renamed or given to another; use "+id)
		}
	}
	if r.BearerAllowed {
		notes = append(notes, "gives tokens without a key, which whoever copies one can use until it ends")
	}
	return notes
}
