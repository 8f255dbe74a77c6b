package mint

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/identity/grant"
)

func TestOperatorEndsAnybodysGrants(t *testing.T) {
	b := newDesk(t)
	mine, theirs := b.grant(dev(), Ask{Task: "T-1"}), b.grant(ci(), Ask{Task: "T-1"})
	past := b.grant(dev(), Ask{Task: "T-1", TTL: time.Minute})
	b.clock.pass(2 * time.Minute)
	ended, err := b.Revoke(t.Context(), dev(), grant.Filter{Task: "T-1"}, grant.Revoked, "")
	if err != nil || len(ended) != 1 || ended[0].ID != mine.ID {
		t.Errorf("by dev: %+v, %v; want %s alone, not another's and not %s, which is past", ended, err, mine.ID, past.ID)
	}
	b.grant(dev(), Ask{Task: "T-2"})
	ended, err = b.Revoke(t.Context(), operator(), grant.Filter{All: true}, grant.Revoked, "freeze")
	if err != nil || len(ended) != 2 {
		t.Errorf("by the operator: %+v, %v; want all that lived", ended, err)
	}
	if act := b.acts[len(b.acts)-1]; act.Method != ActRevoke || act.Grant != "" || act.Detail == "" || act.Source != "user root (uid 0) via socket" {
		t.Errorf("record = %+v", act)
	}
	if s, _ := b.cfg.Grants.Get(theirs.ID); s.State != grant.Revoked || s.EndedBy != "user root (uid 0)" || s.EndedWhy != "freeze" {
		t.Errorf("grant = %+v", s.Grant)
	}
	if ended, err := b.Revoke(t.Context(), operator(), grant.Filter{Task: "T-9"}, grant.Revoked, ""); len(ended) != 0 || err != nil {
		t.Errorf("what matches nothing: %v, %v", ended, err)
	}
}

func TestRevokeIsRefusedInWords(t *testing.T) {
	b := newDesk(t)
	g := b.grant(ci(), Ask{})
	long := string(make([]byte, maxWhy+1))
	for _, tt := range []struct {
		name string
		f    grant.Filter
		to   grant.State
		why  string
		want string
	}{
		{"nothing named", grant.Filter{}, grant.Revoked, "", "say which grants to end: an id, --task, --subject, --client, --key, --issuer or --all"},
		{"no end", grant.Filter{ID: g.ID}, grant.Expired, "", `a grant is ended as revoked or completed, not as "expired"`},
		{"long reason", grant.Filter{ID: g.ID}, grant.Revoked, long, "the reason is longer than 1024 bytes; say it shorter"},
		{"another's", grant.Filter{ID: g.ID}, grant.Revoked, "", `there is no grant "` + g.ID + `" of yours; ` + "`sallyport grant list` shows those that are, `sallyport grant create` makes one"},
	} {
		ended, err := b.Revoke(t.Context(), dev(), tt.f, tt.to, tt.why)
		if r := refusal(t, err); len(ended) != 0 || r.Message != tt.want {
			t.Errorf("%s: %s\nwant %s", tt.name, r.Message, tt.want)
		}
	}
	b.end(g.ID)
	_, err := b.Revoke(t.Context(), ci(), grant.Filter{ID: g.ID}, grant.Revoked, "")
	if r := refusal(t, err); r.Message != "the grant "+g.ID+" ended: revoked by user root (uid 0) (wrong branch); ask for a new one" {
		t.Errorf("what has ended: %s", r.Message)
	}
}

func TestListShowsEachHisOwn(t *testing.T) {
	b := newDesk(t)
	mine, theirs := b.grant(dev(), Ask{}), b.grant(ci(), Ask{})
	ids := func(by Asker, f grant.Filter) (out []string) {
		for _, s := range b.List(by, f) {
			out = append(out, s.ID)
		}
		return out
	}
	if diff := cmp.Diff([]string{mine.ID}, ids(dev(), grant.Filter{All: true})); diff != "" {
		t.Errorf("dev sees (-want +got):\n%s", diff)
	}
	if got := ids(operator(), grant.Filter{All: true}); len(got) != 2 {
		t.Errorf("the operator sees %v; want both", got)
	}
	if got := ids(dev(), grant.Filter{ID: theirs.ID}); len(got) != 0 {
		t.Errorf("dev sees %v of ci", got)
	}
	if got := ids(Asker{}, grant.Filter{All: true}); len(got) != 0 {
		t.Errorf("nobody sees %v", got)
	}
	if got := ids(operator(), grant.Filter{}); len(got) != 0 {
		t.Errorf("the zero filter shows %v", got)
	}
}
