package federate

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNoRulesTakeNoToken(t *testing.T) {
	i := newIssuer(t, "github")
	token := i.token(t, githubClaims, nil)
	const want = "no federation rule takes the token: there are none; identity.federation in the configuration has them"
	for _, f := range []*Federation{federation(t), nil} {
		id, err := f.Verify(t.Context(), token, SubjectToken)
		if id != nil || !errors.Is(err, ErrNoRule) || err.Error() != want {
			t.Errorf("Verify = %v, %v; want %s", id, err, want)
		}
		f.Close()
		if err := f.Probe(t.Context()); err != nil || f.Notes() != nil {
			t.Errorf("Probe = %v, Notes = %v; want none", err, f.Notes())
		}
	}
}

func TestEachKindGivesItsIdentity(t *testing.T) {
	github, pods, svids, client := newIssuer(t, "github"), newIssuer(t, "k8s"), newIssuer(t, "spire"), newIssuer(t, "batch")
	f := federation(t, githubRule(github.file(t)), podRule(pods.file(t)), svidRule(svids.file(t)), clientRule(client.file(t)))
	for _, tt := range []struct {
		token string
		use   Use
		want  Identity
	}{
		{github.token(t, githubClaims, nil), SubjectToken, Identity{Rule: "github", Subject: "ci:github:123:77",
			Issuer: "https://token.actions.githubusercontent.com", ClientID: "github", Roles: []string{"ci-reader"}, Until: start.Add(300 * time.Second).UTC()}},
		{pods.token(t, podClaims, doc{"typ": nil}), Assertion, Identity{Rule: "k8s", Subject: "k8s:system%3Aserviceaccount%3Aagents%3Arunner",
			Issuer: "https://kubernetes.default.svc", ClientID: "runner", Roles: []string{"reader", "writer"}, Until: start.Add(600 * time.Second).UTC(), BearerAllowed: true}},
		{svids.token(t, svidClaims, doc{"typ": "JOSE"}), SubjectToken, Identity{Rule: "spire", Subject: "spire:spiffe%3A//corp.example/ns/agents/runner",
			Issuer: "spiffe://corp.example", ClientID: "spire", Roles: []string{"reader"}, Until: start.Add(300 * time.Second).UTC()}},
		{client.token(t, clientClaims, nil), ClientAssertion, Identity{Rule: "batch", Subject: "batch:batch",
			Issuer: "batch", ClientID: "batch", Roles: []string{"batch"}, Until: start.Add(60 * time.Second).UTC()}},
	} {
		got, err := f.Verify(t.Context(), tt.token, tt.use)
		if err != nil {
			t.Errorf("%s: %v", tt.want.Rule, err)
			continue
		}
		if diff := cmp.Diff(tt.want, *got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.want.Rule, diff)
		}
	}
}

// Every refusal has the words that an operator reads, and no value of the token in them.
func TestTokensOfOthersAreRefusedWithAReason(t *testing.T) {
	github, other := newIssuer(t, "github"), newIssuer(t, "other")
	f := federation(t, githubRule(github.file(t)))
	claims := func(changes doc) string { return github.token(t, githubClaims.but(changes), nil) }
	header := func(changes doc) string { return github.token(t, githubClaims, changes) }
	raw := func(extra string) string {
		body := string(githubClaims.bytes(t))
		return github.sign(doc{"alg": "EdDSA", "kid": github.jwk.Kid}.bytes(t), []byte(strings.Replace(body, `{`, `{`+extra+`,`, 1)))
	}
	no := "no federation rule takes the token: github: "
	for _, tt := range []struct {
		name, token string
		is          error
		want        string
	}{
		{"garbage", "x", ErrMalformed, "malformed token: not three parts between two dots"},
		{"not signed", strings.Join(strings.Split(claims(nil), ".")[:2], ".") + ".", ErrMalformed, "malformed token: signature is empty"},
		{"alg none", header(doc{"alg": "none"}), ErrAlgorithm, "federation rule github: signature algorithm not allowed for the key"},
		{"alg HS256", header(doc{"alg": "HS256"}), ErrAlgorithm, "federation rule github: signature algorithm not allowed for the key"},
		{"key in the token", header(doc{"jwk": doc{"kty": "OKP"}}), ErrHeader, "token header not allowed: jwk"},
		{"key elsewhere", header(doc{"jku": "https://evil.example"}), ErrHeader, "token header not allowed: jku"},
		{"critical extension", header(doc{"crit": []string{"exp"}}), ErrHeader, "token header not allowed: crit"},
		{"no kid", header(doc{"kid": nil}), ErrUnknownKey, "federation rule github: unknown signing key: the header has no kid of 1 to 128 bytes"},
		{"a long kid", header(doc{"kid": strings.Repeat("k", 129)}), ErrUnknownKey, "federation rule github: unknown signing key: the header has no kid of 1 to 128 bytes"},
		{"another kid", header(doc{"kid": "../../dev/null"}), ErrUnknownKey, "federation rule github: unknown signing key: none of the 1 keys of its issuer has the token's kid"},
		{"another's key", other.token(t, githubClaims, doc{"kid": github.jwk.Kid}), ErrSignature, "federation rule github: signature does not verify"},
		{"an access token", header(doc{"typ": "at+jwt"}), ErrNoRule, no + "the header's typ is not that of an identity (JWT, or absent)"},
		{"a proof", header(doc{"typ": "dpop+jwt"}), ErrNoRule, no + "the header's typ is not that of an identity (JWT, or absent)"},
		{"a logout token", header(doc{"typ": "application/logout+jwt"}), ErrNoRule, no + "the header's typ is not that of an identity (JWT, or absent)"},
		{"duplicate claim", raw(`"sub":"admin"`), ErrDuplicate, "token with two meanings: claims: the same member name twice in one object, at byte 243"},
		{"folded claim", raw(`"SUB":"admin"`), ErrDuplicate, "token with two meanings: claims: two member names differ only in case"},
		{"folded claim alone", claims(doc{"nbf": nil, "NBF": 1}), ErrDuplicate, `token with two meanings: claims: member name "NBF" would be read as "nbf" by a parser that ignores case, at byte 6`},
		{"another issuer", claims(doc{"iss": "https://gitlab.com"}), ErrNoRule, no + "iss is not its issuer"},
		{"issuer with a slash", claims(doc{"iss": "https://token.actions.githubusercontent.com/"}), ErrNoRule, no + "iss is not its issuer"},
		{"no issuer", claims(doc{"iss": nil}), ErrNoRule, no + "iss is not its issuer"},
		{"issuer no string", claims(doc{"iss": []string{"https://token.actions.githubusercontent.com"}}), ErrClaim, "bad claim: iss is not a string"},
		{"another audience", claims(doc{"aud": "https://other.example"}), ErrNoRule, no + "aud is not its audience"},
		{"two audiences", claims(doc{"aud": []string{gateway, "https://other.example"}}), ErrNoRule, no + "aud has more than one element"},
		{"no audience", claims(doc{"aud": nil}), ErrClaim, "bad claim: aud is missing"},
		{"empty audiences", claims(doc{"aud": []string{}}), ErrClaim, "bad claim: aud is not a string or a list of strings"},
		{"no subject", claims(doc{"sub": nil}), ErrClaim, "bad claim: sub is missing"},
		{"empty subject", claims(doc{"sub": ""}), ErrClaim, "bad claim: sub is empty"},
		{"subject with a NUL", claims(doc{"sub": "a\x00b"}), ErrClaim, "bad claim: sub holds a control character"},
		{"no expiry", claims(doc{"exp": nil}), ErrClaim, "bad claim: exp is missing"},
		{"expiry as text", claims(doc{"exp": "1800000300"}), ErrClaim, "bad claim: exp is not a whole number of seconds"},
		{"expiry in the year 30000", claims(doc{"exp": 884541351600}), ErrClaim, "bad claim: exp is after the year 9999"},
		{"expiry with a fraction", claims(doc{"exp": 1800000300.5}), ErrClaim, "bad claim: exp is not a whole number of seconds"},
		{"expired", claims(doc{"iat": start.Unix() - 300, "exp": start.Unix()}), ErrExpired, "token has expired"},
		{"made by a clock an hour behind", claims(doc{"iat": start.Unix() - 3600, "exp": start.Unix() - 3300}), ErrExpired, "token has expired"},
		{"made by a clock an hour ahead", claims(doc{"iat": start.Unix() + 3600, "nbf": start.Unix() + 3000, "exp": start.Unix() + 3900}), ErrNotYet, "token is not valid yet"},
		{"not yet", claims(doc{"nbf": start.Unix() + 31}), ErrNotYet, "token is not valid yet"},
		{"no time of issue", claims(doc{"iat": nil}), ErrNoRule, no + "iat is missing"},
		{"too long a life", claims(doc{"exp": start.Unix() + 3601}), ErrNoRule, no + "lives longer than 1h0m0s (maxLifetime, from iat to exp)"},
		{"another repository", claims(doc{"repository_id": "124"}), ErrNoRule, no + "repository_id is not what it requires"},
		{"a repository in brackets", claims(doc{"repository_id": []string{"123"}}), ErrNoRule, no + "repository_id is no text, whole number, true or false"},
		{"a repository that is almost a number", claims(doc{"repository_id": 123.5}), ErrNoRule, no + "repository_id is no text, whole number, true or false"},
		{"no repository", claims(doc{"repository_id": nil}), ErrNoRule, no + "repository_id is missing"},
		{"no run", claims(doc{"run_id": nil}), ErrNoRule, no + "run_id, of which the subject is made, is missing"},
		{"an endless run", claims(doc{"run_id": strings.Repeat(":", 200)}), ErrNoRule, no + "the subject would be longer than 512 bytes"},
		{"bound to a key", claims(doc{"cnf": doc{"jkt": "x"}}), ErrNoRule, no + "has cnf: it is bound to a key, of which an exchange is no proof"},
		{"acting for another", claims(doc{"act": doc{"sub": "x"}}), ErrNoRule, no + "has act: it is a delegation, which gets no grant"},
	} {
		id, err := f.Verify(t.Context(), tt.token, SubjectToken)
		if id != nil || !errors.Is(err, tt.is) || err.Error() != tt.want {
			t.Errorf("%s:\n got %v\nwant %s", tt.name, err, tt.want)
		}
	}
	if _, err := f.Verify(t.Context(), claims(doc{"repository_id": 123, "nbf": start.Unix() + 30, "iat": start.Unix() + 30}), SubjectToken); err != nil {
		t.Errorf("the id as a number, by a clock 30 s ahead: %v; want it taken", err)
	}
}

func TestTokensOfWorkloadsAndClientsAreRefusedWithAReason(t *testing.T) {
	pods, svids, client := newIssuer(t, "k8s"), newIssuer(t, "spire"), newIssuer(t, "batch")
	f := federation(t, podRule(pods.file(t)), svidRule(svids.file(t)), clientRule(client.file(t)))
	for _, tt := range []struct {
		name, token string
		use         Use
		rule, want  string
	}{
		{"a pod without an id", pods.token(t, podClaims.but(doc{"kubernetes.io": doc{"serviceaccount": doc{"uid": "9c1b"}}}), nil), SubjectToken,
			"k8s", "kubernetes.io/pod/uid is missing or empty"},
		{"a pod with an empty id", pods.token(t, podClaims.but(doc{"kubernetes.io": doc{"serviceaccount": doc{"uid": "9c1b"}, "pod": doc{"uid": ""}}}), nil), SubjectToken,
			"k8s", "kubernetes.io/pod/uid is missing or empty"},
		{"the path as one name", pods.token(t, podClaims.but(doc{"kubernetes.io": nil, "kubernetes.io/serviceaccount/uid": "9c1b", "kubernetes.io/pod/uid": "1"}), nil), SubjectToken,
			"k8s", "kubernetes.io/serviceaccount/uid is missing"},
		{"a legacy token of a year", pods.token(t, podClaims.but(doc{"exp": start.Unix() + 365*86400}), nil), SubjectToken,
			"k8s", "lives longer than 1h0m0s (maxLifetime, from iat to exp)"},
		{"another trust domain", svids.token(t, svidClaims.but(doc{"sub": "spiffe://corp.example.evil/x"}), nil), SubjectToken,
			"spire", "sub is no SPIFFE ID of its trust domain"},
		{"the trust domain itself", svids.token(t, svidClaims.but(doc{"sub": "spiffe://corp.example/"}), nil), SubjectToken,
			"spire", "sub is no SPIFFE ID of its trust domain"},
		{"dots in the path", svids.token(t, svidClaims.but(doc{"sub": "spiffe://corp.example/a/../b"}), nil), SubjectToken,
			"spire", "sub is no SPIFFE ID of its trust domain"},
		{"an escape in the path", svids.token(t, svidClaims.but(doc{"sub": "spiffe://corp.example/a%2fb"}), nil), SubjectToken,
			"spire", "sub is no SPIFFE ID of its trust domain"},
		{"a workload's token of a day", svids.token(t, svidClaims.but(doc{"exp": start.Unix() + 86400}), nil), SubjectToken,
			"spire", "lives longer than 1h0m0s (maxLifetime, from iat to exp)"},
		{"another client", client.token(t, clientClaims.but(doc{"sub": "other"}), nil), ClientAssertion,
			"batch", "iss and sub are not both its client's id"},
		{"an assertion of six minutes", client.token(t, clientClaims.but(doc{"exp": start.Unix() + 360}), nil), ClientAssertion,
			"batch", "lives longer than 5m0s (maxLifetime, from iat to exp)"},
		{"an assertion without jti", client.token(t, clientClaims.but(doc{"jti": nil}), nil), ClientAssertion,
			"batch", "jti is missing or longer than 128 bytes"},
		{"an assertion with a long jti", client.token(t, clientClaims.but(doc{"jti": strings.Repeat("x", 129)}), nil), ClientAssertion,
			"batch", "jti is missing or longer than 128 bytes"},
		{"an assertion without iat", client.token(t, clientClaims.but(doc{"iat": nil}), nil), ClientAssertion, "batch", "iat is missing"},
		{"an assertion as a subject", client.token(t, clientClaims, nil), SubjectToken, "batch", "takes client assertions only"},
		{"a pod as a client", pods.token(t, podClaims, nil), ClientAssertion, "k8s", "takes no client assertions"},
		{"a pod as nothing", pods.token(t, podClaims, nil), 0, "k8s", "takes no client assertions"},
	} {
		id, err := f.Verify(t.Context(), tt.token, tt.use)
		no, ok := errors.AsType[*NoRuleError](err)
		if !ok || id != nil || len(no.Reasons) != 3 {
			t.Errorf("%s: %v, %v; want a reason of each of three rules", tt.name, id, err)
			continue
		}
		for _, r := range no.Reasons {
			if r.Rule == tt.rule && r.Why != tt.want {
				t.Errorf("%s:\n got %s\nwant %s", tt.name, r.Why, tt.want)
			}
		}
	}
}

// Keys are never pooled: a key that one rule trusts says nothing in another issuer's name.
func TestKeysOfOneIssuerSignForNoOther(t *testing.T) {
	github, pods := newIssuer(t, "github"), newIssuer(t, "k8s")
	f := federation(t, githubRule(github.file(t)), podRule(pods.file(t)))
	forged := pods.token(t, githubClaims, nil)
	if id, err := f.Verify(t.Context(), forged, SubjectToken); id != nil || !errors.Is(err, ErrUnknownKey) {
		t.Errorf("a token of GitHub's name under the key of Kubernetes: %v, %v; want ErrUnknownKey", id, err)
	}
}

// The first rule that fits decides, so narrow rules stand above wide ones.
func TestFirstRuleThatFitsDecides(t *testing.T) {
	i := newIssuer(t, "github")
	file := i.file(t)
	narrow, wide := githubRule(file), githubRule(file)
	narrow.Require = map[string]string{"repository_id": "123", "repository_owner_id": "65", "run_id": "77"}
	narrow.Name, narrow.Roles = "one-run", []string{"deploy"}
	f := federation(t, narrow, wide)
	for run, want := range map[string]string{"77": "one-run", "78": "github"} {
		if id, err := f.Verify(t.Context(), i.token(t, githubClaims.but(doc{"run_id": run}), nil), SubjectToken); err != nil || id.Rule != want {
			t.Errorf("run %s: %v, %v; want rule %s", run, id, err, want)
		}
	}
}
