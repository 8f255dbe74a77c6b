package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/gateway/audit"
	"sallyport/gateway/audit/reader"
)

func (a *app) newAuditShow() *cobra.Command {
	cmd := &cobra.Command{Use: "show ID", Short: "One decision as a certificate: who, what, by which rule, and what came of it", Args: cobra.ExactArgs(1),
		Long: "Prints all that the record has of one decision. The ID is in the answer to a denied call, in the\n" +
			"gateway's log and in `sallyport audit search`; its beginning is enough where no other begins so.\n" +
			"Below it stands whether the lines are those that the tree of the newest checkpoint has; where\n" +
			"that is not proved, it says so first.\n\n" +
			"With -o json the records stand as they are in the log. Exits 3 when there is no such decision, or\n" +
			"when a line of it was changed."}
	log := logFlag(cmd)
	asJSON := outputFlag(cmd)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		is, err := asJSON()
		if err != nil {
			return err
		}
		dirs, err := a.logDirs(*log)
		if err != nil {
			return err
		}
		c, err := a.findDecision(dirs, args[0])
		if err != nil {
			return err
		}
		if is {
			err = a.printJSON(c)
		} else {
			err = a.printf("%s", c.text())
		}
		return orElse(err, func() error { return no(c.changed()) })
	}
	return cmd
}

// certified is what the record has of one decision.
type certified struct {
	ID         string                `json:"id"`
	Log        string                `json:"log"` // directory
	Records    []certifiedRecord     `json:"records"`
	Checkpoint *certifyingCheckpoint `json:"checkpoint,omitempty"` // that the proofs are about
	Verifies   bool                  `json:"verifies"`             // each record is in the tree of the checkpoint, which the key has signed
}

// certifiedRecord is one record of a decision, whole.
type certifiedRecord struct {
	File   string          `json:"file"`
	Line   int             `json:"line"`
	Newer  []string        `json:"newer,omitempty"` // what a newer version has written and this one does not know
	Record json.RawMessage `json:"record"`

	Leaf  *int64 `json:"leaf,omitempty"` // index in the tree, where the line is proved to be
	Proof string `json:"proof"`          // that it is, or why that is not proved

	entry reader.Entry
}

// findDecision looks into each log for the decision whose id is, or begins as, id.
func (a *app) findDecision(dirs []string, id string) (*certified, error) {
	id = strings.ToUpper(strings.TrimSpace(id))
	if _, ok := reader.IDTime(id); !ok {
		return nil, errNo{fmt.Sprintf("%s is not the id of a decision: those have 26 letters and digits, as 01M89EBGGRZSBM0WZVWDFGRQPZ; "+
			"find one with `sallyport audit search`", plain(id))}
	}
	var near string
	for _, dir := range dirs {
		found, err := reader.Find(dir, id)
		if err != nil {
			return nil, err
		}
		for _, told := range found.Told {
			a.say("%s: %v", plain(dir), told)
		}
		switch len(found.IDs) {
		case 0:
			near = closer(near, found.Near, id)
		case 1:
			return certify(dir, found), nil
		default:
			return nil, errNo{fmt.Sprintf("more than one decision begins with %s: %s; give more of it", id, strings.Join(found.IDs, " "))}
		}
	}
	return nil, errNo{unknownID(id, near)}
}

func closer(a, b, id string) string {
	if a == "" || b == "" {
		return a + b
	}
	t, _ := reader.IDTime(id)
	at, _ := reader.IDTime(a)
	bt, _ := reader.IDTime(b)
	if bt.Sub(t).Abs() < at.Sub(t).Abs() {
		return b
	}
	return a
}

func unknownID(id, near string) string {
	t, _ := reader.IDTime(id)
	if near == "" {
		return fmt.Sprintf("no decision %s is in the record, which is empty", id)
	}
	at, _ := reader.IDTime(near)
	from := t
	if at.Before(t) {
		from = at
	}
	return fmt.Sprintf("no decision %s is in the record. It would be of %s; the one nearest to that is %s, of %s. "+
		"Search by time and name: `sallyport audit search --since %s --subject WHO`",
		id, t.Format(time.RFC3339), near, at.Format(time.RFC3339), from.Format(time.RFC3339))
}

func certify(dir string, found reader.Found) *certified {
	c := &certified{ID: found.IDs[0], Log: dir}
	for _, e := range found.Entries {
		c.Records = append(c.Records, certifiedRecord{File: e.File, Line: e.Line, Newer: e.Newer, Record: e.Raw, entry: e})
	}
	slices.SortStableFunc(c.Records, func(x, y certifiedRecord) int { return aside(x) - aside(y) })
	c.prove()
	return c
}

// aside puts what a second policy would have said, which can be written at any time, behind what was
// decided and done.
func aside(r certifiedRecord) int {
	if r.entry.Record.Phase == audit.PhaseShadow {
		return 1
	}
	return 0
}

// ends are the decision, and the newest of what came of it.
func (c *certified) ends() (first, last *audit.Record) {
	first = &c.Records[0].entry.Record
	last = first
	for i := range c.Records {
		if aside(c.Records[i]) == 0 {
			last = &c.Records[i].entry.Record
		}
	}
	return first, last
}

// text is the certificate for a person at three in the morning.
func (c *certified) text() string {
	first, last := c.ends()
	var b strings.Builder
	if !c.Verifies {
		b.WriteString("NOT PROVED: whoever can write into the folder of the record could have written this; `proof`, below, says more\n\n")
	}
	_, _ = fmt.Fprintf(&b, "%s: %s\n\n", c.ID, verdict(first, last)) // to memory
	field := func(name, value string) {
		if value != "" {
			_, _ = fmt.Fprintf(&b, "%-12s %s\n", name, value)
		}
	}
	fields := func(name string, values []string) {
		for _, v := range values {
			field(name, plain(v))
			name = ""
		}
	}
	field("time", first.Time.UTC().Format(time.RFC3339Nano))
	field("asked", plain(what(first)))
	field("method", plain(first.Method))
	field("who", who(first))
	field("by", plain(first.Source))
	field("token", plain(first.JTI))
	field("grant", grantOf(first))
	field("tool", plain(first.ToolDigest))
	field("arguments", arguments(first))
	field("input", inputOf(first))
	field("policy", plain(first.PolicyRevision))
	fields("rules", first.Rules)
	fields("reasons", last.Reasons)
	fields("obligations", texts(first.Obligations))
	if first.Advisory != nil {
		field("advisory", plain(verdictOf(first.Advisory)))
	}
	field("labels", labels(first, last))
	for i := range c.Records {
		switch r := &c.Records[i].entry.Record; {
		case r.Shadow != nil:
			field("shadow", plain(verdictOf(r.Shadow)))
		case r.Phase != audit.PhaseDecision:
			field(r.Phase, outcome(r))
		}
	}
	field("trace", plain(first.TraceID))
	field("detail", plain(last.Detail))
	for i, r := range c.Records {
		field([]string{"record", ""}[min(i, 1)], fmt.Sprintf("%s line %d, number %d, %s", r.File, r.Line, r.entry.Record.Seq, orDash(r.entry.Record.Phase)))
		if len(r.Newer) > 0 {
			field("", "made by a newer version, which has "+plain(strings.Join(r.Newer, ", "))+" that this one does not know; -o json prints it whole")
		}
	}
	if p := c.Checkpoint; p != nil {
		field("checkpoint", fmt.Sprintf("%d records, root %s", p.Size, p.Root))
		field("signed by", fmt.Sprintf("%s, which verifies", p.Key))
	}
	fields("proof", c.proofs())
	return b.String()
}

func texts(list []json.RawMessage) []string {
	var out []string
	for _, raw := range list {
		out = append(out, string(raw))
	}
	return out
}

// verdict is the whole story on one line.
func verdict(first, last *audit.Record) string {
	word := map[string]string{"allow": "allowed", "deny": "denied", "would_deny": "not allowed, and let through since nothing is enforced"}[first.Decision]
	switch {
	case word == "":
		word = "decision " + orDash(first.Decision)
	case advisedAgainst(first):
		word = "allowed, and would not be were all rules enforced"
	}
	if last.Code != "" && last.Code != word && (last.Code != "ok" || last.Phase != audit.PhaseDecision) {
		word += ", " + plain(last.Code)
	}
	if len(last.Reasons) > 0 {
		word += ": " + plain(strings.Join(last.Reasons, "; "))
	}
	return word
}

// verdictOf is what rules or a policy said that decide nothing.
func verdictOf(v *audit.Verdict) string {
	var out string
	switch {
	case v.Error != "":
		out = "could not be asked: " + v.Error
	case v.Allow:
		out = "would allow"
	default:
		out = "would refuse"
	}
	if v.Kind != "" {
		out += " (" + v.Kind + ")"
	}
	if len(v.Reasons) > 0 {
		out += ": " + strings.Join(v.Reasons, "; ")
	}
	if len(v.Obligations) > 0 {
		out += ", with " + strings.Join(texts(v.Obligations), " ")
	}
	if len(v.Rules) > 0 {
		out += " [" + strings.Join(v.Rules, ", ") + "]"
	}
	if v.Revision != "" {
		out += ", by policy " + v.Revision
	}
	return out
}

func who(r *audit.Record) string {
	if r.Subject == "" {
		return "nobody who is known"
	}
	out := plain(r.Subject)
	if r.Client != "" {
		out += ", by client " + plain(r.Client)
	}
	if len(r.Roles) > 0 {
		out += ", roles " + plain(strings.Join(r.Roles, ", "))
	}
	return out
}

func grantOf(r *audit.Record) string {
	out := plain(r.Grant)
	if r.Task != "" {
		out += ", task " + plain(r.Task)
	}
	if r.Calls > 0 {
		out += fmt.Sprintf(", charged %d", r.Calls)
	}
	return out
}

func arguments(r *audit.Record) string {
	if r.Arguments != nil {
		return plain(string(r.Arguments)) + " (" + r.ArgumentsDigest + ")"
	}
	return plain(r.ArgumentsDigest)
}

// inputOf says where the policy's input is.
func inputOf(r *audit.Record) string {
	switch {
	case r.Input != nil:
		return fmt.Sprintf("recorded, %d bytes: sallyport policy explain %s", len(r.Input), r.ID)
	case r.InputSealed != "":
		return fmt.Sprintf("sealed with key %s: sallyport policy explain %s --identity FILE", plain(r.InputKey), r.ID)
	}
	return plain(r.InputMissing)
}

func labels(first, last *audit.Record) string {
	before, after := strings.Join(first.LabelsBefore, ", "), strings.Join(last.LabelsAfter, ", ")
	switch {
	case before == "" && after == "":
		return ""
	case before == after:
		return plain(before) + ", before and after"
	}
	return orDash(before) + " before; " + orDash(after) + " after"
}

func outcome(r *audit.Record) string {
	out := fmt.Sprintf("%s at %s", orDash(r.Code), r.Time.UTC().Format(time.RFC3339Nano))
	if r.UpstreamMS > 0 {
		out += fmt.Sprintf(", %g ms upstream", r.UpstreamMS)
	}
	if r.BytesIn > 0 || r.BytesOut > 0 {
		out += fmt.Sprintf(", %d bytes in, %d out", r.BytesIn, r.BytesOut)
	}
	if r.Calls < 0 {
		out += fmt.Sprintf(", %d calls given back", -r.Calls)
	}
	return out
}
