package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"sallyport/gateway/audit"
	"sallyport/gateway/audit/inputs"
	"sallyport/gateway/audit/reader"
	"sallyport/policy"
	"sallyport/policy/workbench"
)

// recordFlags name a record and the part of it that counts.
type recordFlags struct {
	log, identity *string
	since, until  *string
}

func addRecordFlags(cmd *cobra.Command) recordFlags {
	f := recordFlags{log: logFlag(cmd),
		identity: cmd.Flags().String("identity", "", "`FILE` of age identities that open sealed inputs"),
		since:    cmd.Flags().String("since", "", "nothing before this `TIME`: RFC 3339, a day, or how long ago (2h, 7d)"),
		until:    cmd.Flags().String("until", "", "nothing after this `TIME`")}
	return f
}

// record is a log as the workbench reads it. digest is nil where the key of digests is not at hand.
type record struct {
	dir          string
	identified   bool
	digest       func([]byte) string
	since, until time.Time
	passed       int // records that were not read, since no policy was asked about them

	mu     sync.Mutex // guards what follows
	opener *inputs.Opener
	told   []string // what could not be read, a few
	bad    int      // how many
}

func (a *app) record(f recordFlags, now time.Time) (*record, error) {
	r := &record{opener: inputs.NewOpener()}
	var err error
	if r.dir, err = a.logDir(*f.log); err != nil {
		return nil, err
	}
	if *f.identity != "" {
		identities, err := inputs.ReadIdentities(*f.identity)
		if err != nil {
			return nil, err
		}
		r.opener, r.identified = inputs.NewOpener(identities...), true
	}
	if r.since, err = moment("since", *f.since, now); err != nil {
		return nil, err
	}
	if r.until, err = moment("until", *f.until, now); err != nil {
		return nil, err
	}
	if r.digest, err = audit.Digester(r.dir); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
		return nil, err
	}
	return r, nil
}

// log yields the records that count; decisive leaves out those that no policy was asked about. What is no
// record is told of and passed over: whether the log is whole is for `audit verify` to say.
func (r *record) log(decisive bool) workbench.Log {
	r.told, r.bad, r.passed = nil, 0, 0
	return workbench.Log(iter.Seq2[workbench.Entry, error](func(yield func(workbench.Entry, error) bool) {
		for e, err := range reader.All(r.dir, reader.Options{Raw: true}) {
			switch {
			case reader.Told(err):
				r.tell(err)
				continue
			case err != nil:
				yield(nil, err)
				return
			case decisive && begins(e.Raw, phaseOutcome) && !bytes.Contains(e.Raw, policyAllow):
				r.passed++
				continue
			case begins(e.Raw, phaseKey): // before what is sealed with it
				if err := e.Decode(); err == nil {
					r.learn(&e)
				}
			}
			if !yield(func() (workbench.Recorded, error) { return r.read(e) }, nil) {
				return
			}
		}
	}))
}

// What tells lines apart without reading them.
var (
	phaseOutcome = []byte(`"phase":"outcome"`)
	phaseKey     = []byte(`"phase":"key"`)
	policyAllow  = []byte(`"policy_allow":`)
)

// begins looks where the phase stands, in front of all that others have a say in.
func begins(line, phase []byte) bool { return bytes.Contains(line[:min(len(line), 160)], phase) }

func (r *record) tell(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bad++; len(r.told) < 5 {
		r.told = append(r.told, err.Error())
	}
}

func (r *record) learn(e *reader.Entry) {
	r.mu.Lock()
	err := r.opener.Learn(&e.Record)
	r.mu.Unlock()
	if err != nil {
		r.tell(err)
	}
}

// read reads one record. Several goroutines do so at once. One outside of the time that counts is
// empty.
func (r *record) read(e reader.Entry) (workbench.Recorded, error) {
	if err := e.Decode(); err != nil {
		r.tell(err)
		return workbench.Recorded{}, nil
	}
	if at := e.Record.Time; !r.since.IsZero() && at.Before(r.since) || !r.until.IsZero() && at.After(r.until) {
		return workbench.Recorded{}, nil
	}
	doc, missing := r.input(&e)
	return r.recorded(&e, doc, missing), nil
}

func (r *record) input(e *reader.Entry) (doc []byte, missing string) {
	rec := &e.Record
	switch {
	case len(e.Newer) > 0:
		return nil, workbench.MissingNewer
	case len(rec.InputErased) > 0:
		return nil, workbench.MissingMasked
	case strings.Contains(rec.InputMissing, "audit.inputBytes"): // how large it was makes no other reason
		return nil, workbench.MissingLarge
	case rec.InputMissing != "":
		return nil, "its input is missing: " + rec.InputMissing
	case rec.InputSealed == "":
		if rec.Input == nil {
			return nil, workbench.MissingInput
		}
		return rec.Input, ""
	}
	r.mu.Lock()
	doc, err := r.opener.Input(rec)
	r.mu.Unlock()
	switch {
	case err == nil:
		return doc, ""
	case errors.Is(err, inputs.ErrSealed) && !r.identified:
		return nil, workbench.MissingIdentity
	}
	return nil, err.Error()
}

func (r *record) recorded(e *reader.Entry, doc []byte, missing string) workbench.Recorded {
	rec := &e.Record
	out := workbench.Recorded{Seq: rec.Seq, Time: rec.Time, ID: rec.ID, Phase: rec.Phase, Method: rec.Method, Server: rec.Server, Tool: rec.Tool,
		ToolDigest: rec.ToolDigest, Subject: rec.Subject, Client: rec.Client, Grant: rec.Grant, Task: rec.Task, Roles: rec.Roles,
		Decision: rec.Decision, Code: rec.Code, PolicyAllow: rec.PolicyAllow, Advised: rec.Advisory != nil && !rec.Advisory.Allow, Reasons: rec.Reasons, Rules: rec.Rules, Obligations: rec.Obligations,
		Revision: rec.PolicyRevision, LabelsBefore: rec.LabelsBefore, LabelsAfter: rec.LabelsAfter, Detail: rec.Detail,
		Input: doc, Missing: missing, Arguments: rec.Arguments}
	if r.digest == nil || missing == workbench.MissingNewer {
		return out
	}
	arguments := []byte(rec.Arguments)
	if doc != nil {
		in, err := policy.ReadInput(doc)
		if err != nil {
			return out
		}
		out.Asked, arguments = in, in.Arguments
	}
	out.Proved = r.proves(rec.ArgumentsDigest, arguments)
	out.Contradicted = !out.Proved && doc != nil
	return out
}

// proves reports whether the digest is that of the arguments. The record holds them without white
// space, so they are tried as most clients write them.
func (r *record) proves(digest string, arguments []byte) bool {
	if digest == "" {
		return len(arguments) == 0
	}
	if len(arguments) == 0 { // a policy sees none as {}
		arguments = []byte("{}")
	}
	var compact bytes.Buffer
	if r.digest(arguments) == digest {
		return true
	}
	return json.Compact(&compact, arguments) == nil && (r.digest(compact.Bytes()) == digest || r.digest(spaced(compact.Bytes())) == digest)
}

// spaced writes a space after each colon and comma, as Python does.
func spaced(compact []byte) []byte {
	out := make([]byte, 0, len(compact)+len(compact)/4)
	quoted := false
	for i := 0; i < len(compact); i++ {
		c := compact[i]
		out = append(out, c)
		switch {
		case c == '\\' && i+1 < len(compact):
			i++
			out = append(out, compact[i])
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ':' || c == ','):
			out = append(out, ' ')
		}
	}
	return out
}

// batch lets the memory of a command that reads a whole log grow before it is collected, and returns
// what ends that: little of it lives long, and collecting took a fifth of the time.
func batch() (end func()) {
	before := debug.SetGCPercent(400)
	return func() { debug.SetGCPercent(before) }
}

// sayBad tells what of a log was no record.
func (a *app) sayBad(r *record) {
	for _, text := range r.told {
		a.say("%s", text)
	}
	if more := r.bad - len(r.told); more > 0 {
		a.say("and %d more; `sallyport audit verify` says whether the log is whole", more)
	}
}

// counted writes counts, the largest first.
func counted(b *strings.Builder, title string, counts map[string]int) {
	for i, name := range workbench.ByCount(counts) {
		if i == 0 {
			b.WriteString(title + "\n")
		}
		fmt.Fprintf(b, "  %8d  %s\n", counts[name], plain(name))
	}
}

// place says where a difference stands, in one line.
func place(e workbench.Example) string {
	name := e.Server
	if e.Tool != "" {
		name += "." + e.Tool
	}
	return fmt.Sprintf("%s  %s  %s  %s  %v", e.ID, e.Time.UTC().Format(time.RFC3339), plain(e.Method), plain(name), e.Roles)
}

// answered is what a policy said, in one line.
func answered(v workbench.Verdict) string {
	out := "refused"
	switch {
	case v.Failed != "":
		return "refused: " + plain(v.Failed)
	case v.Allow:
		out = "allowed"
	}
	if len(v.Reasons) > 0 {
		out += ": " + plain(strings.Join(v.Reasons, "; "))
	}
	for i, o := range v.Obligations {
		if i == 0 {
			out += ", with "
		} else {
			out += " and "
		}
		out += plain(string(o))
	}
	if len(v.Rules) > 0 {
		out += "  [" + plain(strings.Join(v.Rules, ", ")) + "]"
	}
	return out
}
