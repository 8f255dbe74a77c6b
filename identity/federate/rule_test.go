package federate

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNewRefusesRulesWithAReason(t *testing.T) {
	i := newIssuer(t, "i")
	file := i.file(t)
	bad := filepath.Join(t.TempDir(), "bad.json")
	write(t, bad, `{"keys":[{"kty":"oct","kid":"s","k":"AQ"}]}`)
	github, oidcURL, svid, client := githubRule(file), Rule{Name: "idp", Issuer: "https://idp.example", Audience: gateway, Roles: []string{"r"}}, svidRule(file), clientRule(file)
	with := func(r Rule, change func(*Rule)) Rule { change(&r); return r }
	for _, tt := range []struct {
		rule      Rule
		key, want string
	}{
		{with(github, func(r *Rule) { r.Name = "" }), "name", "wants 1 to 64 letters, digits, '.', '_' and '-'"},
		{with(github, func(r *Rule) { r.Name = "a:b" }), "name", "wants 1 to 64 letters, digits, '.', '_' and '-'"},
		{with(github, func(r *Rule) { r.Kind = "saml" }), "kind", `"saml" is unknown; known are oidc, spiffe and private_key_jwt`},
		{with(github, func(r *Rule) { r.Audience = "" }), "audience", "is empty; it is what the token's aud must be, as the gateway's public URL"},
		{with(github, func(r *Rule) { r.Issuer = "" }), "issuer", "is empty; it is what iss must be, exactly"},
		{with(github, func(r *Rule) { r.Roles = nil }), "roles", "gives no role, so such a token may do nothing; name the roles that it may ask for"},
		{with(github, func(r *Rule) { r.Roles = []string{""} }), "roles", "holds a name that is empty"},
		{with(github, func(r *Rule) { r.Require = nil }), "require", "anybody can have a token of this issuer; name claims that are yours alone, as repository_id"},
		{with(github, func(r *Rule) { r.Require = map[string]string{"a//b": "x"} }), "require", `"a//b" names no claim; write it as in the token, with / between levels and ~1 for a slash in a name`},
		{with(github, func(r *Rule) { r.Require = map[string]string{"a~b": "x"} }), "require", `"a~b" has a ~ that is neither ~0 (a tilde) nor ~1 (a slash)`},
		{with(github, func(r *Rule) { r.Require = map[string]string{"a": ""} }), "require", `"a" wants a value; to take any, name it under requireClaim`},
		{with(github, func(r *Rule) { r.RequireClaim = []string{""} }), "requireClaim", `"" names no claim; write it as in the token, with / between levels and ~1 for a slash in a name`},
		{with(github, func(r *Rule) { r.MaxLifetime = 25 * time.Hour }), "maxLifetime", "25h0m0s is not from 1s to 24h"},
		{with(github, func(r *Rule) { r.MaxLifetime = -1 }), "maxLifetime", "-1ns is not from 1s to 24h"},
		{with(github, func(r *Rule) { r.Subject = "ci" }), "subject", "holds no claim, so everybody would be the same; use one that tells them apart, as {sub}"},
		{with(github, func(r *Rule) { r.Subject = "ci:{sub" }), "subject", "wants the name of a claim between { and }, as {sub} or {kubernetes.io/pod/uid}"},
		{with(github, func(r *Rule) { r.Subject = "ci:{}" }), "subject", "wants the name of a claim between { and }, as {sub} or {kubernetes.io/pod/uid}"},
		{with(github, func(r *Rule) { r.Subject = "ci:{{sub}}" }), "subject", "wants the name of a claim between { and }, as {sub} or {kubernetes.io/pod/uid}"},
		{with(github, func(r *Rule) { r.Subject = "ci:}{sub}" }), "subject", "has a } without {, or a %, which stands for characters of claims"},
		{with(github, func(r *Rule) { r.Subject = "ci%3A{sub}" }), "subject", "has a } without {, or a %, which stands for characters of claims"},
		{with(github, func(r *Rule) { r.Subject = "{sub}-{run_id}" }), "subject", "has two claims without a colon between them, so two identities could give one subject"},
		{with(github, func(r *Rule) { r.Subject = "a\n{sub}" }), "subject", "holds a control character"},
		{with(github, func(r *Rule) { r.Subject = strings.Repeat("a", 513) + "{sub}" }), "subject", "is longer than 512 bytes"},
		{with(github, func(r *Rule) { r.Client = "a\x00" }), "client", "holds a control character"},
		{with(github, func(r *Rule) { r.JWKSURL = "https://x" }), "jwksURL", "stands beside jwksFile; use one of the two"},
		{with(github, func(r *Rule) { r.CA = "ca.pem" }), "ca", "means nothing beside jwksFile, for which nobody is asked"},
		{with(github, func(r *Rule) { r.TrustDomain = "corp" }), "trustDomain", "means nothing to a rule of kind oidc; it is for spiffe"},
		{with(github, func(r *Rule) { r.ClientID = "x" }), "clientID", "means nothing to a rule of kind oidc; it is for private_key_jwt"},
		{with(github, func(r *Rule) { r.JWKSFile = bad }), "jwksFile", bad + `: read key set: key "s" is symmetric: who can verify with it can sign`},
		{with(github, func(r *Rule) { r.JWKSFile = file + ".none" }), "jwksFile", "stat " + file + ".none: no such file or directory"},
		{with(github, func(r *Rule) { r.JWKSFile = filepath.Dir(file) }), "jwksFile", filepath.Dir(file) + " is no regular file"},
		{with(oidcURL, func(r *Rule) { r.Issuer = "http://idp.example" }), "issuer",
			`"http://idp.example" is not https, so anybody on the way could give other keys; http is for loopback only; or give the issuer's keys as jwksURL or jwksFile`},
		{with(oidcURL, func(r *Rule) { r.Issuer = "idp" }), "issuer", `is no URL with a host; or give the issuer's keys as jwksURL or jwksFile`},
		{with(oidcURL, func(r *Rule) { r.Issuer = "https://idp.example?x=1" }), "issuer", "has a query, so its discovery document has no address; give jwksURL or jwksFile"},
		{with(oidcURL, func(r *Rule) { r.JWKSURL = "http://192.0.2.1/keys" }), "jwksURL",
			`"http://192.0.2.1/keys" is not https, so anybody on the way could give other keys; http is for loopback only`},
		{with(oidcURL, func(r *Rule) { r.JWKSURL = "file:///etc/passwd" }), "jwksURL", "is no URL with a host"},
		{with(oidcURL, func(r *Rule) { r.JWKSURL = "https://me:secret@idp.example/keys" }), "jwksURL", "has a user or password in it; keys are public and fetched without"},
		{with(oidcURL, func(r *Rule) { r.JWKSURL = "https://idp.example/keys#a" }), "jwksURL", `"https://idp.example/keys#a" has a fragment`},
		{with(oidcURL, func(r *Rule) { r.CA = file + ".none" }), "ca", "open " + file + ".none: no such file or directory"},
		{with(oidcURL, func(r *Rule) { r.CA = file }), "ca", file + " holds no certificate in PEM"},
		{with(svid, func(r *Rule) { r.TrustDomain = "" }), "trustDomain", "is empty; it is what stands after spiffe:// in the ids of its workloads"},
		{with(svid, func(r *Rule) { r.TrustDomain = "spiffe://corp" }), "trustDomain", "wants lower case letters, digits, '.', '-' and '_' only, without spiffe://"},
		{with(svid, func(r *Rule) { r.JWKSFile = "" }), "jwksFile", "is empty; give the trust domain's JWT bundle as jwksFile or jwksURL"},
		{with(svid, func(r *Rule) { r.JWKSFile, r.JWKSURL = "", "http://spire.corp/keys" }), "jwksURL",
			`"http://spire.corp/keys" is not https, so anybody on the way could give other keys; http is for loopback only`},
		{with(svid, func(r *Rule) { r.Issuer = "https://idp.example" }), "issuer", "means nothing to a rule of kind spiffe; it is for oidc"},
		{with(client, func(r *Rule) { r.ClientID = "" }), "clientID", "is empty; it is what iss and sub of the client's assertions must be"},
		{with(client, func(r *Rule) { r.JWKSFile = "" }), "jwksFile", "is empty; it is the file with the client's public key, a JWK Set"},
		{with(client, func(r *Rule) { r.JWKSURL = "https://x" }), "jwksURL", "stands beside jwksFile; use one of the two"},
	} {
		f, err := New([]Rule{tt.rule}, Options{})
		want := &RuleError{Rule: tt.rule.Name, Key: tt.key, What: tt.want}
		if got, ok := errors.AsType[*RuleError](err); f != nil || !ok || *got != *want {
			t.Errorf("%+v:\n got %v\nwant %v", tt.rule, err, want)
		}
	}
}

func TestNewNamesEveryFaultyRule(t *testing.T) {
	_, err := New([]Rule{{}, {Name: "b", Kind: "x"}}, Options{})
	const want = `federation rule 1: name: wants 1 to 64 letters, digits, '.', '_' and '-'
federation rule "b": kind: "x" is unknown; known are oidc, spiffe and private_key_jwt`
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestNewRefusesRulesThatStandInEachOthersWay(t *testing.T) {
	file, other := newIssuer(t, "a").file(t), newIssuer(t, "b").file(t)
	first := githubRule(file)
	second := func(change func(*Rule)) Rule {
		r := githubRule(file)
		r.Name = "second"
		change(&r)
		return r
	}
	for _, tt := range []struct {
		name      string
		rule      Rule
		key, want string
	}{
		{"the same name", second(func(r *Rule) { r.Name = "github" }), "name", "is that of a rule above; names tell rules apart in the record"},
		{"two sets of keys", second(func(r *Rule) { r.JWKSFile = other }), "jwksFile", "rule github above is for the same issuer with keys from elsewhere; an issuer has one set of keys"},
		{"narrower, and below", second(func(r *Rule) {
			r.Require["environment"] = "prod"
			r.MaxLifetime = time.Minute
			r.RequireClaim = []string{"x"}
		}), "",
			"never decides: rule github above takes every token that fits this one, and the first that fits decides; put this one above it"},
		{"another's subject", second(func(r *Rule) { r.Issuer, r.JWKSFile, r.Subject = "https://idp.example", other, "ci:github:{sub}:x" }), "subject",
			"can give the same subject as that of rule github to somebody else; begin each with another word, as its rule's name"},
		{"another's subject, one issuer", second(func(r *Rule) { r.Require["repository_id"], r.Subject = "9", "ci:github:{sub}:{run_id}" }), "subject",
			"can give the same subject as that of rule github to somebody else; begin each with another word, as its rule's name"},
	} {
		_, err := New([]Rule{first, tt.rule}, Options{})
		if got, ok := errors.AsType[*RuleError](err); !ok || got.Index != 1 || got.Key != tt.key || got.What != tt.want {
			t.Errorf("%s:\n got %v\nwant %s: %s", tt.name, err, tt.key, tt.want)
		}
	}
	for name, r := range map[string]Rule{
		"another value":                second(func(r *Rule) { r.Require["repository_id"] = "9" }),
		"one requirement less":         second(func(r *Rule) { delete(r.Require, "repository_owner_id") }),
		"a longer life":                second(func(r *Rule) { r.MaxLifetime = 2 * time.Hour }),
		"another audience":             second(func(r *Rule) { r.Audience = "https://old.example" }),
		"a subject of other claims":    second(func(r *Rule) { r.Subject = "second:{sub}" }),
		"another issuer, another word": second(func(r *Rule) { r.Issuer, r.JWKSFile, r.Subject = "https://idp.example", other, "idp:{sub}" }),
	} {
		if _, err := New([]Rule{first, r}, Options{}); err != nil {
			t.Errorf("%s: %v; want both rules taken", name, err)
		}
	}
	loose := githubRule(file)
	loose.RequireClaim = []string{"environment"}
	if _, err := New([]Rule{loose, second(func(*Rule) {})}, Options{}); err != nil {
		t.Errorf("a rule above that wants a claim more: %v; want both rules taken", err)
	}
}

func TestNotesSayWhatRulesLeaveOpen(t *testing.T) {
	file := newIssuer(t, "a").file(t)
	named := githubRule(file)
	named.Require, named.Subject = map[string]string{"repository": "octo/repo", "sub": "repo:octo/repo:ref:refs/heads/main"}, "github:{repository}:{run_id}"
	open := Rule{Name: "idp", Issuer: "https://idp.example", Audience: gateway, Roles: []string{"r"}, BearerAllowed: true}
	tight := clientRule(file)
	f := federation(t, named, open, tight)
	want := []string{
		"federation rule github: requires repository, which can be renamed or given to another; require repository_id too",
		"federation rule github: requires sub, which can be renamed or given to another; require repository_id too",
		"federation rule github: makes the subject of repository, which can be renamed or given to another; use repository_id",
		"federation rule idp: takes every token that its issuer signs for this audience; name under require whose it must be",
		"federation rule idp: gives tokens without a key, which whoever copies one can use until it ends",
	}
	if diff := cmp.Diff(want, f.Notes()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if notes := federation(t, githubRule(file)).Notes(); !slices.Equal(notes, nil) {
		t.Errorf("notes of a rule on ids: %q; want none", notes)
	}
}
