package evaluation

import (
	"encoding/json"
	"io/fs"
	"slices"
	"testing"
	"time"

	"sallyport/examples/policies"
	"sallyport/gateway/rules"
	"sallyport/identity/grant"
	"sallyport/policy"
)

// gate decides calls as the gateway does: by the policy's compiled form, with the labels that
// the task's grant holds.
type gate struct {
	t      *testing.T
	policy *policy.Generation
	grants *grant.Registry
}

// newGate loads the example as it stands, or with fewer labels that close.
func newGate(t *testing.T, open ...string) *gate {
	t.Helper()
	example, err := policies.FS(policies.NoExfiltration)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, name := range []string{"authz.rego", "authz_test.rego", "data.json"} {
		if files[name], err = fs.ReadFile(example, name); err != nil {
			t.Fatal(err)
		}
	}
	if len(open) > 0 {
		delete(files, "authz_test.rego") // it tests the example as it stands
		var data map[string]map[string]bool
		if err := json.Unmarshal(files["data.json"], &data); err != nil {
			t.Fatal(err)
		}
		for _, label := range open {
			if !data["closing"][label] {
				t.Fatalf("%s does not close anything in data.json", label)
			}
			delete(data["closing"], label)
		}
		if files["data.json"], err = json.Marshal(data); err != nil {
			t.Fatal(err)
		}
	}
	g := &gate{t: t}
	if g.policy, err = policy.FromFiles(t.Context(), files, policy.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.policy.Close)
	if keys, all := g.policy.ArgumentKeys(); all || len(keys) > 0 {
		t.Fatalf("the policy reads arguments (%q, all: %v), which are not played", keys, all)
	}
	if g.grants, err = grant.NewRegistry(t.Context(), grant.NewMemory(), grant.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.grants.Close() })
	return g
}

// task is a run of an agent: one grant, whose labels never wash off.
type task struct {
	*gate
	suite *suite
	live  *grant.Live
}

func (g *gate) task(s *suite) *task {
	g.t.Helper()
	made, err := g.grants.Create(g.t.Context(), grant.Grant{Task: s.name, Subject: "agent", Roles: []string{"agent"}, Expires: time.Now().Add(time.Hour)})
	if err != nil {
		g.t.Fatal(err)
	}
	live, err := g.grants.Find(made.ID)
	if err != nil {
		g.t.Fatal(err)
	}
	return &task{gate: g, suite: s, live: live}
}

// call reports whether the agent may make the call. Its labels are those of the task from then on.
func (k *task) call(name string) bool {
	k.t.Helper()
	labels := k.suite.rules.Tool(name).Labels
	d, err := k.policy.Decide(k.t.Context(), &policy.Input{
		Subject: &policy.Subject{ID: "agent", Roles: []string{"agent"}, Proof: "none"},
		Grant:   &policy.Grant{ID: k.live.Grant().ID, Task: k.suite.name, Expires: k.live.Grant().Expires},
		Action:  "tools/call", Server: k.suite.name,
		Tool: &policy.Tool{Name: name, Labels: labels}, Arguments: []byte("{}"), Flow: k.live.Labels(),
	})
	if err != nil {
		k.t.Fatalf("%s: %s: %v", k.suite.name, name, err)
	}
	if !d.Allow {
		return false
	}
	if _, ok := k.live.AddLabels(labels); !ok {
		k.t.Fatalf("%s: %s: too many labels", k.suite.name, name)
	}
	return true
}

// outcome of an attack, from the best to the worst.
type outcome int

const (
	unread  outcome = iota // the injected text does not reach the agent
	stopped                // a call that the attack needs is refused, and nothing is changed
	partly                 // as stopped, but a call that changes something goes through
	passed
	silent // it needs no call
)

// attack plays the user's task until it has read the injected text, and then the attack to its
// end, whatever is refused on the way.
func (g *gate) attack(s *suite, user, attack int) outcome {
	g.t.Helper()
	k := g.task(s)
	if !slices.ContainsFunc(s.Tasks[user], func(name string) bool {
		return k.call(name) && slices.Contains(s.Carriers, name)
	}) {
		return unread
	}
	if len(s.attacks[attack]) == 0 {
		return silent
	}
	refused, changed := false, false
	for _, name := range s.attacks[attack] {
		if !k.call(name) {
			refused = true
		} else if s.Tools[name].Changes {
			changed = true
		}
	}
	switch {
	case !refused:
		return passed
	case changed:
		return partly
	}
	return stopped
}

// refusal is the first call of a user's task that is refused, after the one that closed the way.
type refusal struct{ call, after string }

// work plays a user's task to its end. The zero refusal says that all of it is allowed.
func (g *gate) work(s *suite, user int) (r refusal) {
	g.t.Helper()
	k, source := g.task(s), ""
	for _, name := range s.Tasks[user] {
		switch {
		case k.call(name):
			if source == "" && g.closes(k.live.Labels()) {
				source = name
			}
		case r.call == "":
			r = refusal{call: name, after: source}
		}
	}
	return r
}

// closes reports whether a task with the labels may not reach outside any more.
func (g *gate) closes(labels []string) bool {
	d, err := g.policy.Decide(g.t.Context(), &policy.Input{
		Subject: &policy.Subject{ID: "agent", Roles: []string{"agent"}, Proof: "none"}, Action: "tools/call", Server: "web",
		Tool: &policy.Tool{Name: "post", Labels: []string{"sink:external"}}, Arguments: []byte("{}"), Flow: labels,
	})
	if err != nil {
		g.t.Fatal(err)
	}
	return !d.Allow
}

// What stops the attacks is the labels and nothing else of the example: without them all attacks
// pass, and all user tasks are allowed.
func TestWithoutLabelsNothingIsRefused(t *testing.T) {
	g := newGate(t)
	for _, s := range suites(t) {
		for name := range s.Tools {
			s.Tools[name] = tool{Changes: s.Tools[name].Changes}
		}
		var err error
		if s.rules, err = rules.New(s.config()); err != nil {
			t.Fatal(err)
		}
		for attack := range s.attacks {
			for user := range s.Tasks {
				if o := g.attack(s, user, attack); o == stopped || o == partly {
					t.Errorf("%s: attack %d in user task %d is refused something", s.name, attack, user)
				}
			}
		}
		for user := range s.Tasks {
			if r := g.work(s, user); r != (refusal{}) {
				t.Errorf("%s: user task %d is refused %s", s.name, user, r.call)
			}
		}
	}
}
