package workbench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sallyport/policy"
)

// Suggest makes the least policy that allows what was used. The zero values are good.
type Suggest struct {
	MinSupport int           // calls of a tool by a role below which nothing is learned of it; default 20
	Window     time.Duration // before the newest record that counts; default 30 days
	Present    *policy.Generation
	Catalogue  []CatalogueTool // tools that there are, used or not
}

// CatalogueTool is a tool that there is.
type CatalogueTool struct{ Server, Name string }

// ErrTooLittle is wrapped where there is too little to learn from.
var ErrTooLittle = errors.New("too little to learn from")

// Permit is what a role used of one tool.
type Permit struct {
	Roles         []string         `json:"roles"` // all of them; in most cases one
	Server        string           `json:"server"`
	Tool          string           `json:"tool"`
	Calls         int              `json:"calls"`
	WithArguments int              `json:"with_arguments"`      // of these, whose arguments were recorded
	Arguments     map[string]*Rule `json:"arguments,omitempty"` // nil: nothing was learned of them
	Required      []string         `json:"required,omitempty"`  // arguments that stood in every call
	Tasks         []string         `json:"tasks,omitempty"`     // tasks/… that were asked about it

	example map[string]any
}

// Few is what was used too little.
type Few struct {
	Roles  []string `json:"roles"`
	Server string   `json:"server"`
	Tool   string   `json:"tool"`
	Calls  int      `json:"calls"`
}

// Unused is what a policy allows and nobody did.
type Unused struct {
	Role   string `json:"role"`
	Server string `json:"server"`
	Tool   string `json:"tool"`
}

// Suggestion is a policy directory and where it came from.
type Suggestion struct {
	Since      time.Time         `json:"since"`
	Until      time.Time         `json:"until"`
	MinSupport int               `json:"min_support"`
	Learned    int               `json:"learned"`    // calls
	Unforeseen int               `json:"unforeseen"` // calls among them that no rule allowed, and that went through since nothing was enforced
	Unread     map[string]int    `json:"unread"`     // calls among them whose arguments are not known, by why
	LeftOut    map[string]int    `json:"left_out"`   // records of the window from which nothing was learned, by why
	Flagged    map[string]int    `json:"flagged"`    // tasks that were left out as a whole, by why
	Permits    []*Permit         `json:"permits"`
	Few        []Few             `json:"too_few"`
	Unused     []Unused          `json:"unused"`
	Files      map[string][]byte `json:"-"`
}

// Run reads the log twice: what is learned of a call depends on what became of its task later. The
// result depends on nothing but the log and s. The error wraps ErrTooLittle where that is all.
func (s Suggest) Run(ctx context.Context, log Log) (*Suggestion, error) {
	s.MinSupport = cmp.Or(s.MinSupport, 20)
	s.Window = cmp.Or(s.Window, 30*24*time.Hour)
	l := &learner{Suggest: s, tainted: tainted{map[string]string{}, map[string]string{}}, spoiled: map[string]bool{}, used: map[string]*use{},
		seenTools: map[CatalogueTool]bool{}, seenRoles: map[string]bool{}, anyUse: map[Unused]bool{}, out: &Suggestion{MinSupport: s.MinSupport, Unread: map[string]int{}, LeftOut: map[string]int{}, Flagged: map[string]int{}, Few: []Few{}, Unused: []Unused{}}}
	for _, pass := range []func(*Recorded){l.look, l.learn} {
		for entry, err := range log {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return nil, err
			}
			if r, err := entry(); err == nil {
				pass(&r)
			}
		}
		l.window()
	}
	for _, why := range l.tainted.grants {
		l.out.Flagged[why]++
	}
	if err := l.permits(); err != nil {
		return l.out, err
	}
	if err := l.unused(ctx); err != nil {
		return nil, err
	}
	l.out.Files = l.out.files(l.seenTools)
	g, err := policy.FromFiles(ctx, l.out.Files, policy.Options{})
	if err != nil {
		return nil, fmt.Errorf("the suggestion does not pass its own tests, which is a defect of this program: %w", err)
	}
	g.Close()
	return l.out, nil
}

// use is what one set of roles did with one tool.
type use struct {
	roles        []string
	server, tool string
	calls        int
	withArgs     int
	args         map[string]*seen
	tasks        map[string]bool
	example      map[string]any
}

type learner struct {
	Suggest
	out       *Suggestion
	newest    time.Time
	tainted   tainted
	spoiled   map[string]bool // ids of decisions that came to nothing
	used      map[string]*use
	seenTools map[CatalogueTool]bool
	seenRoles map[string]bool
	anyUse    map[Unused]bool
}

func (l *learner) window() {
	l.out.Until, l.out.Since = l.newest, l.newest.Add(-l.Window)
}

// served are the codes of outcomes that say nothing against the call.
var served = map[string]bool{"ok": true, "cancelled": true, "unavailable": true, "timeout": true}

// look finds what the second pass must know beforehand.
func (l *learner) look(r *Recorded) {
	if r.Missing == MissingNewer {
		return
	}
	if r.Time.After(l.newest) {
		l.newest = r.Time
	}
	if why := r.flagged(); why != "" {
		l.tainted.add(r, why)
	}
	if r.Phase == "outcome" && !served[r.Code] {
		l.spoiled[r.ID] = true
	}
}

// learn takes one call, if it is one to learn from.
func (l *learner) learn(r *Recorded) {
	if !r.decisive() || r.Time.Before(l.out.Since) {
		return
	}
	task := strings.HasPrefix(r.Method, "tasks/")
	if why := l.unfit(r, task); why != "" {
		l.out.LeftOut[why]++
		return
	}
	if r.Method != "tools/call" && !task {
		return // housekeeping needs no permission
	}
	roles := slices.Compact(slices.Sorted(slices.Values(r.Roles)))
	key := strings.Join(append([]string{r.Server, r.Tool}, roles...), "\x00")
	u := l.used[key]
	if u == nil {
		u = &use{roles: roles, server: r.Server, tool: r.Tool, args: map[string]*seen{}, tasks: map[string]bool{}}
		l.used[key] = u
	}
	if task {
		u.tasks[r.Method] = true
		return
	}
	u.calls++
	l.out.Learned++
	if r.unforeseen() {
		l.out.Unforeseen++
	}
	args, ok := r.arguments()
	if !ok {
		l.out.Unread[cmp.Or(r.Missing, "they could not be read")]++
		return
	}
	u.withArgs++
	if u.example == nil {
		u.example = args
	}
	for name, value := range args {
		if u.args[name] == nil {
			u.args[name] = newSeen()
		}
		u.args[name].add(value)
	}
}

// unfit says why nothing is learned from a record, or is empty.
func (l *learner) unfit(r *Recorded, task bool) string {
	l.note(r)
	switch {
	case r.Missing == MissingNewer:
		return r.Missing
	case r.unforeseen(): // what became of its task counts as it does for others
	case r.Decision == "would_deny":
		return "a rule would have refused it"
	case r.Phase != "decision" || r.Decision != "allow" || r.PolicyAllow != nil && !*r.PolicyAllow:
		return "it was refused"
	}
	switch {
	case l.tainted.has(r):
		return "its task was flagged"
	case l.spoiled[r.ID]:
		return "its answer was an error of the gateway's"
	case policy.Housekeeping(r.Method):
		return ""
	case r.Method != "tools/call" && !task:
		return "it is no call of a tool"
	case strings.HasSuffix(r.Tool, clipped) || len(r.Roles) == 0:
		return "its record does not name the tool and the roles in full"
	}
	return ""
}

// note keeps what there is and what was used at all, whether or not anything is learned from it.
func (l *learner) note(r *Recorded) {
	if r.Method != "tools/call" || r.ToolDigest == "" { // without a digest the name is the client's word
		return
	}
	l.seenTools[CatalogueTool{r.Server, r.Tool}] = true
	for _, role := range r.Roles {
		l.seenRoles[role] = true
		if r.Phase == "decision" {
			l.anyUse[Unused{role, r.Server, r.Tool}] = true
		}
	}
}

// arguments are those of a call, where they were recorded as they were sent.
func (r *Recorded) arguments() (args map[string]any, ok bool) {
	raw := []byte(r.Arguments)
	if !r.Proved {
		raw = nil
	}
	if r.Input != nil {
		q, why := r.question()
		if why != "" || q.in.Tool == nil {
			return nil, false
		}
		if raw = q.in.Arguments; raw == nil {
			return map[string]any{}, true
		}
	}
	if raw == nil || decode(raw, &args) != nil || args == nil {
		return nil, false
	}
	return args, true
}

// permits turns what was used enough into permits.
func (l *learner) permits() error {
	most := 0
	for _, key := range slices.Sorted(maps.Keys(l.used)) {
		u := l.used[key]
		if most = max(most, u.calls); u.calls < l.MinSupport {
			l.out.Few = append(l.out.Few, Few{u.roles, u.server, u.tool, u.calls})
			continue
		}
		l.out.Permits = append(l.out.Permits, u.permit(l.MinSupport))
	}
	if len(l.out.Permits) > 0 {
		return nil
	}
	return fmt.Errorf("%w: %d calls, the most of one tool by one role is %d, and %d are needed (--min-support); nothing is suggested", ErrTooLittle, l.out.Learned, most, l.MinSupport)
}

func (u *use) permit(support int) *Permit {
	p := &Permit{Roles: u.roles, Server: u.server, Tool: u.tool, Calls: u.calls, WithArguments: u.withArgs, Tasks: slices.Sorted(maps.Keys(u.tasks))}
	if u.withArgs < support {
		return p
	}
	p.Arguments, p.example, p.Required = map[string]*Rule{}, u.example, []string{}
	for _, name := range slices.Sorted(maps.Keys(u.args)) {
		s := u.args[name]
		p.Arguments[name] = s.infer(support)
		if s.n == u.withArgs {
			p.Required = append(p.Required, name)
		}
	}
	return p
}

// unused lists what the present policy allows, with some arguments, to roles that it names or that were
// seen, and what nobody with the role did.
func (l *learner) unused(ctx context.Context) error {
	if l.Present == nil {
		return nil
	}
	for _, tool := range l.Catalogue {
		l.seenTools[tool] = true
	}
	unknown := []string{"input.subject.id", "input.subject.client", "input.subject.issuer", "input.subject.actors", "input.subject.claims", "input.subject.proof",
		"input.subject.measured", "input.grant", "input.server.labels", "input.tool.title", "input.tool.annotations", "input.tool.labels", "input.tool.digest",
		"input.tool.pinned", "input.tool.reviewed", "input.arguments", "input.flow", "input.request"}
	for _, role := range l.Present.Roles() {
		l.seenRoles[role] = true
	}
	for _, role := range slices.Sorted(maps.Keys(l.seenRoles)) {
		for tool := range l.seenTools {
			if l.anyUse[Unused{role, tool.Server, tool.Name}] {
				continue
			}
			in := &policy.Input{Action: "tools/call", Server: tool.Server, Tool: &policy.Tool{Name: tool.Name}, Subject: &policy.Subject{Roles: []string{role}},
				Request: policy.Request{Method: "tools/call"}}
			answer, err := l.Present.AskWithout(ctx, in, unknown)
			if err != nil {
				return fmt.Errorf("ask the present policy: %w", err)
			}
			if answer != policy.Refused {
				l.out.Unused = append(l.out.Unused, Unused{role, tool.Server, tool.Name})
			}
		}
	}
	slices.SortFunc(l.out.Unused, func(a, b Unused) int {
		return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Server, b.Server), cmp.Compare(a.Tool, b.Tool))
	})
	return nil
}
