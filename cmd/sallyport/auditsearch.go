package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport/gateway/audit"
	"sallyport/gateway/audit/reader"
)

func (a *app) newAuditSearch() *cobra.Command {
	cmd := &cobra.Command{Use: "search", Short: "Find decisions by who, what and when", Args: cobra.NoArgs,
		Long: "Finds decisions for who has no id, in the record of the gateway and in that of commands. A record\n" +
			"is found when it meets all that is asked; a * stands for any characters. The newest are printed,\n" +
			"oldest first: one line for a decision and what came of it. Next: `sallyport audit show ID`.\n\n" +
			"Times are RFC 3339, a day (2026-01-15), or how long ago (2h, 7d). With -o json the records are\n" +
			"printed whole, as an array, each as it stands in the log. Exits 3 when nothing is found."}
	var f reader.Filter
	for _, flag := range []struct {
		name, usage string
		into        *string
	}{
		{"subject", "`WHO` asked", &f.Subject}, {"client", "`ID` of the client", &f.Client},
		{"grant", "`ID` of the grant", &f.Grant}, {"task", "`NAME` of the task", &f.Task}, {"jti", "`ID` of the token", &f.JTI},
		{"role", "`ROLE` that the caller had", &f.Role}, {"method", "`METHOD`, as tools/call or grant/create", &f.Method},
		{"server", "`NAME` of the server", &f.Server}, {"tool", "`NAME` of the tool, or server.tool", &f.Tool},
		{"code", "`CODE` of what came of it: ok, denied, timeout, …", &f.Code}, {"decision", "`WORD`: allow, deny or would_deny", &f.Decision},
		{"rule", "`RULE` of the policy that held, as the record names it", &f.Rule}, {"revision", "`DIGEST` of the policy", &f.Revision},
	} {
		cmd.Flags().StringVar(flag.into, flag.name, "", flag.usage)
	}
	since := cmd.Flags().String("since", "", "nothing before this `TIME`")
	until := cmd.Flags().String("until", "", "nothing after this `TIME`")
	limit := cmd.Flags().Int("limit", 100, "at most `N` decisions, the newest; 0 for all")
	log := logFlag(cmd)
	asJSON := outputFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		is, err := asJSON()
		if err != nil {
			return err
		}
		now := time.Now()
		if f.Since, err = moment("since", *since, now); err != nil {
			return err
		}
		if f.Until, err = moment("until", *until, now); err != nil {
			return err
		}
		if !f.Since.IsZero() && !f.Until.IsZero() && f.Until.Before(f.Since) {
			return errUsage{fmt.Sprintf("--since %s is after --until %s, so that nothing lies between", *since, *until)}
		}
		decisions := []string{"allow", "deny", "would_deny"}
		if f.Decision != "" && !strings.Contains(f.Decision, "*") && !slices.Contains(decisions, f.Decision) {
			return errUsage{fmt.Sprintf("--decision %s: want %s", f.Decision, strings.Join(decisions, ", "))}
		}
		if *limit < 0 {
			return errUsage{fmt.Sprintf("--limit %d: want a number of decisions, or 0 for all", *limit)}
		}
		dirs, err := a.logDirs(*log)
		if err != nil {
			return err
		}
		var all hits
		for _, dir := range dirs {
			found, err := a.search(dir, &f, *limit)
			if err != nil {
				return err
			}
			all.join(found)
		}
		all.cut(*limit)
		return a.printHits(all, is)
	}
	return cmd
}

// hit is a decision that was found, with those of its records that match.
type hit struct {
	id      string
	entries []reader.Entry
}

// ends are the first of the records and the last, where there are others than what a second policy
// would have said.
func (h *hit) ends() (first, last audit.Record) {
	own := slices.DeleteFunc(slices.Clone(h.entries), func(e reader.Entry) bool { return e.Record.Phase == audit.PhaseShadow })
	if len(own) == 0 {
		own = h.entries
	}
	return own[0].Record, own[len(own)-1].Record
}

// hits are in the order in which their first records were written.
type hits struct {
	list  []*hit
	byID  map[string]*hit // nil for one that was left out, so that a late record does not make it new
	more  int             // older ones that were left out
	newer int             // records with something that this version does not know
}

func (h *hits) add(e reader.Entry, limit int) {
	if len(e.Newer) > 0 {
		h.newer++
	}
	if known, seen := h.byID[e.Record.ID]; seen {
		if known != nil {
			known.entries = append(known.entries, e)
		}
		return
	}
	if h.byID == nil {
		h.byID = map[string]*hit{}
	}
	n := &hit{id: e.Record.ID, entries: []reader.Entry{e}}
	h.list, h.byID[n.id] = append(h.list, n), n
	if limit > 0 && len(h.list) > 2*limit { // twice, so that the list is not moved with every record
		h.cut(limit)
	}
}

// cut leaves the newest.
func (h *hits) cut(limit int) {
	if limit == 0 || len(h.list) <= limit {
		return
	}
	old := h.list[:len(h.list)-limit]
	for _, o := range old {
		if h.byID != nil {
			h.byID[o.id] = nil
		}
	}
	h.more += len(old)
	h.list = slices.Clone(h.list[len(old):])
}

// join adds what was found in another log.
func (h *hits) join(other hits) {
	h.list = append(h.list, other.list...)
	h.more += other.more
	h.newer += other.newer
	slices.SortStableFunc(h.list, func(x, y *hit) int { return x.entries[0].Record.Time.Compare(y.entries[0].Record.Time) })
}

func (a *app) search(dir string, f *reader.Filter, limit int) (hits, error) {
	var into hits
	for e, err := range reader.All(dir, f.Options()) {
		switch {
		case err == nil && f.Match(&e.Record):
			into.add(e, limit)
		case err != nil && !reader.Told(err):
			return hits{}, err
		case err != nil:
			a.say("%s: %v", plain(dir), err)
		}
	}
	into.cut(limit)
	return into, nil
}

func (a *app) printHits(found hits, asJSON bool) error {
	var err error
	if asJSON {
		err = a.printJSON(found.raw())
	} else {
		err = a.printf("%s", found.table())
	}
	if found.more > 0 {
		a.say("%d older ones are left out; see --limit, --since and --until", found.more)
	}
	if found.newer > 0 {
		a.say("%d records were made by a newer version and have what this one does not know; -o json prints them whole", found.newer)
	}
	return orElse(err, func() error {
		if len(found.list) == 0 {
			return errNo{"nothing is found; ask for less, or from an earlier time"}
		}
		return nil
	})
}

func (h *hits) raw() []json.RawMessage {
	out := []json.RawMessage{}
	for _, hit := range h.list {
		for _, e := range hit.entries {
			out = append(out, e.Raw)
		}
	}
	return out
}

func (h *hits) table() string {
	if len(h.list) == 0 {
		return ""
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "TIME\tID\tSUBJECT\tWHAT\tDECISION\tCODE\tWHY") // to memory
	for _, hit := range h.list {
		first, last := hit.ends()
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", first.Time.UTC().Format(time.RFC3339), orDash(hit.id), orDash(first.Subject),
			orDash(what(&first)), orDash(last.Decision), orDash(last.Code), orDash(cmp.Or(why(&last), why(&first))))
	}
	_ = w.Flush()
	return b.String()
}
