package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A second policy's word can be written before the decision that it is about. It is neither the
// decision nor what came of it.
func TestShowTellsShadowAside(t *testing.T) {
	dir := t.TempDir()
	var log strings.Builder
	for i, more := range []string{
		`"phase":"shadow","decision":"","code":"","reasons":[],"shadow":{"revision":"sha256:2","allow":false,"reasons":["not at night"],"obligations":[],"rules":["night"],"kind":"newly_refused"}`,
		`"phase":"decision","decision":"allow","code":"","subject":"ann"`,
		`"phase":"outcome","decision":"allow","code":"timeout","subject":"ann"`,
	} {
		fmt.Fprintf(&log, `{"seq":%d,"time":"2026-01-15T09:00:00Z","id":"01JABCDEFGHJKMNPQRSTVWXYZ0",%s}`+"\n", i+1, more)
	}
	if err := os.WriteFile(filepath.Join(dir, "00000000000000000001.jsonl"), []byte(log.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, talk strings.Builder
	if code := run([]string{"audit", "show", "01JABCDEFGHJKMNPQRSTVWXYZ0", "--log", dir}, nil, &out, &talk, nil); code != exitFine {
		t.Fatalf("exit %d: %s", code, talk.String())
	}
	for _, want := range []string{
		"NOT PROVED: whoever can write into the folder of the record could have written this; `proof`, below, says more\n\n01JABCDEFGHJKMNPQRSTVWXYZ0: allowed, timeout\n", "\nwho          ann\n",
		"\nshadow       would refuse (newly_refused): not at night [night], by policy sha256:2\n",
		"\nproof        not proved: ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	out.Reset()
	if code := run([]string{"audit", "search", "--log", dir}, nil, &out, &talk, nil); code != exitFine || !strings.Contains(out.String(), "  allow     timeout  -\n") {
		t.Errorf("search: exit %d\n%s", code, out.String())
	}
}

// A call that only a rule which is not enforced would have refused was allowed, and everything else is
// enforced; what record-only lets through was not.
func TestShowTellsOneRuleFromRecordOnly(t *testing.T) {
	for _, tt := range []struct{ name, rest, show, search string }{
		{"one rule", `"reasons":[],"policy_allow":true,"advisory":{"allow":false,"reasons":["no ticket"],"obligations":[],"rules":["r"]}`,
			": allowed, and would not be were all rules enforced, ok\n", "  would_deny  ok    no ticket\n"},
		{"record-only", `"reasons":["no ticket"],"policy_allow":false`,
			": not allowed, and let through since nothing is enforced, ok: no ticket\n", "  would_deny  ok    no ticket\n"},
	} {
		dir := t.TempDir()
		const id = "01JABCDEFGHJKMNPQRSTVWXYZ0"
		head := `"time":"2026-01-15T09:00:00Z","id":"` + id + `","decision":"would_deny",`
		outcome, _, _ := strings.Cut(tt.rest, `,"policy_allow"`)
		log := `{"seq":1,` + head + `"phase":"decision","code":"",` + tt.rest + "}\n" + `{"seq":2,` + head + `"phase":"outcome","code":"ok",` + outcome + "}\n"
		if err := os.WriteFile(filepath.Join(dir, "00000000000000000001.jsonl"), []byte(log), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, of := range []struct {
			args []string
			want string
		}{{[]string{"audit", "show", id}, id + tt.show}, {[]string{"audit", "search"}, tt.search}} {
			var out, talk strings.Builder
			if code := run(append(of.args, "--log", dir), nil, &out, &talk, nil); code != exitFine || !strings.Contains(out.String(), of.want) {
				t.Errorf("%s: %v: exit %d, no %q in\n%s%s", tt.name, of.args, code, of.want, out.String(), talk.String())
			}
		}
	}
}

// However many are found, the newest are kept and the others counted.
func TestSearchKeepsTheNewest(t *testing.T) {
	dir := t.TempDir()
	var log strings.Builder
	for i := range 57 {
		fmt.Fprintf(&log, `{"seq":%d,"time":"2026-01-15T09:00:%02dZ","id":"01JABCDEFGHJKMNPQRSTVWXY%02d","phase":"decision"}`+"\n", i+1, i, i)
	}
	if err := os.WriteFile(filepath.Join(dir, "00000000000000000001.jsonl"), []byte(log.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for limit, want := range map[int]int{0: 57, 1: 1, 5: 5, 28: 28, 56: 56, 57: 57, 100: 57} {
		var out, talk strings.Builder
		if code := run([]string{"audit", "search", "--log", dir, "--limit", fmt.Sprint(limit), "-o", "json"}, nil, &out, &talk, nil); code != exitFine {
			t.Fatalf("exit %d: %s", code, talk.String())
		}
		var got []struct{ Seq int }
		if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
			t.Fatal(err)
		}
		if len(got) != want || got[len(got)-1].Seq != 57 {
			t.Errorf("limit %d: %d records, the last %+v; want %d", limit, len(got), got[len(got)-1], want)
		}
		if left := fmt.Sprintf("%d older ones are left out", 57-want); want < 57 != strings.Contains(talk.String(), left) {
			t.Errorf("limit %d: told %q; want %q", limit, talk.String(), left)
		}
	}
}
