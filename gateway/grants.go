package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"sallyport/gateway/catalog"
	"sallyport/gateway/wire"
	"sallyport/identity"
	"sallyport/identity/grant"
	"sallyport/internal/strictjson"
	"sallyport/policy"
)

// Grants finds the grant that a token names. A *grant.Registry is one.
type Grants interface {
	// Find returns the live grant of this id. The error is grant.ErrStale where nobody knows what
	// lives; any other says that there is none.
	Find(id string) (*grant.Live, error)
}

// findGrant returns the grant that makes the token worth something. A token is a reference: one
// that names no live grant, or another's, is as good as none.
func (x *exchange) findGrant(who *identity.Principal) (*grant.Live, error) {
	live, err := x.g.grants.Find(who.Grant)
	switch {
	case errors.Is(err, grant.ErrStale):
		return nil, &Error{Code: CodeStale, Public: "which grants live is not known at the moment", Err: err}
	case err != nil:
		return nil, unauthenticated(err)
	case live == nil:
		return nil, unauthenticated(grant.ErrUnknown)
	}
	if err := x.snap.fits(who, live.Grant()); err != nil {
		return nil, unauthenticated(err)
	}
	return live, nil
}

func unauthenticated(err error) *Error {
	return &Error{Code: CodeUnauthenticated, Public: "a valid access token is needed", Err: err}
}

// fits reports why a token and the grant that it names do not belong together. The issuer makes
// no such token; this is for the day when it does.
func (s *Snapshot) fits(who *identity.Principal, g *grant.Grant) error {
	switch {
	case who.Subject != g.Subject:
		return errors.New("the grant is another subject's")
	case who.ClientID != g.ClientID:
		return errors.New("the grant is another client's")
	case g.JKT != "" && who.JKT != g.JKT, g.X5T != "" && who.X5T != g.X5T:
		return errors.New("the grant is bound to a key that the token is not bound to")
	case who.Proof == identity.ProofNone && s.WantsProof(who.Roles):
		return errors.New("the configuration wants tokens that are bound to a key (identity.requireProof)")
	}
	for _, role := range who.Roles {
		if !slices.Contains(g.Roles, role) {
			return errors.New("the token has a role that its grant has not")
		}
	}
	return nil
}

// WantsProof reports whether tokens with one of these roles must be bound to a key.
func (s *Snapshot) WantsProof(roles []string) bool {
	return s.RequireProof || slices.ContainsFunc(roles, func(r string) bool { return slices.Contains(s.RequireProofFor, r) })
}

// bind makes ctx end with the grant; the cause says how that ended. The exchange's own end is
// told to the same context: a second one below it would cost seven allocations a call.
func (x *exchange) bind(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	x.bound, x.unbind = x.live.BindCause(ctx)
	return x.bound, x.unbind
}

// endedGrant returns how the grant ended that ctx was bound to, or nil.
func endedGrant(ctx context.Context) error {
	if ctx == nil || ctx.Err() == nil {
		return nil
	}
	if cause := context.Cause(ctx); endOfGrant(cause) {
		return cause
	}
	return nil
}

func endOfGrant(cause error) bool {
	return errors.Is(cause, grant.ErrRevoked) || errors.Is(cause, grant.ErrExpired) || errors.Is(cause, grant.ErrCompleted)
}

// orEnded turns a refusal into that of a grant that has ended meanwhile, which explains it.
func (x *exchange) orEnded(e *Error) *Error {
	if ended := endedGrant(x.bound); ended != nil && e.Code != CodeStale {
		return unauthenticated(ended)
	}
	return e
}

// withinGrant says why a message is beyond the grant, or nil. The right to do something is the
// intersection of what the role, the grant and the policy allow.
func (x *exchange) withinGrant(ctx context.Context, call checked, in *policy.Input) *Error {
	if housekeeping(call.msg) && call.msg.Method != "" {
		return nil
	}
	if !x.grantSees(in) {
		return refuse(CodeDenied, "Denied: the grant does not cover it (decision %s)", x.rec.ID)
	}
	if call.tool == nil || call.msg.Method != wire.MethodToolsCall {
		return nil
	}
	args := call.msg.Arguments
	if args == nil {
		args = []byte("{}")
	}
	for _, c := range x.live.Constraints(call.server.Name, call.tool.Name) {
		if err := x.holds(ctx, c, args, in); err != nil {
			return &Error{Code: CodeDenied, Err: err,
				Public: fmt.Sprintf("Denied: the grant does not allow these arguments: %s (decision %s)", publicOf(err), x.rec.ID)}
		}
	}
	return nil
}

// grantSees reports whether the grant covers what in asks about, whatever its arguments.
func (x *exchange) grantSees(in *policy.Input) bool {
	switch {
	case in.Tool != nil:
		return x.live.Allows(in.Server, in.Tool.Name)
	case in.Prompt != nil || in.Resource != nil:
		return !x.live.Narrow() // it names tools, so it is for tools
	}
	return true
}

// constraintError is why arguments do not hold, in words for who made the call.
type constraintError struct {
	public string
	err    error
}

func (e *constraintError) Error() string { return e.public }
func (e *constraintError) Unwrap() error { return e.err }

func publicOf(err error) string {
	if c, ok := errors.AsType[*constraintError](err); ok {
		return c.public
	}
	return "they could not be checked"
}

// holds checks arguments against one constraint of the grant.
func (x *exchange) holds(ctx context.Context, c grant.Constraint, args []byte, in *policy.Input) error {
	if c.Rego != "" {
		ok, err := x.snap.Policy.Holds(ctx, c.Rego, in)
		if err == nil && !ok {
			err = &constraintError{public: c.Rego + " does not hold"}
		}
		return err
	}
	schema, err := x.g.schemas.get(string(c.Schema))
	if err != nil {
		return err
	}
	err = in.ArgumentsOutline.CheckArguments(args, strictjson.Names{}, schema.Names())
	if err == nil {
		err = schema.ValidateOutlined(args, in.ArgumentsOutline)
	}
	if err != nil {
		return &constraintError{public: err.Error(), err: err}
	}
	return nil
}

// charge reserves a call of the grant before anything is sent. Housekeeping costs nothing.
func (x *exchange) charge(call checked) error {
	if !charged(call.msg) {
		if refusal := x.uncounted(); refusal != nil && !x.only(refusal) {
			return refusal
		}
		return nil
	}
	leave, ok := x.live.Enter(x.snap.Limits.ConcurrentPerGrant)
	if !ok {
		return refuse(CodeLimited, "%d calls of this grant are under way; wait until one has ended", x.snap.Limits.ConcurrentPerGrant)
	}
	x.leave = leave
	cost := grant.Cost{Bytes: int64(len(call.msg.Arguments))}
	if len(x.bounds) > 0 {
		cost.Digest = call.server.Name + "\x00" + call.msg.Method + "\x00" + x.callDigest(call)
	}
	held, err := x.live.Reserve(call.server.Name, x.rec.Tool, cost, x.bounds...)
	if err != nil && x.snap.RecordOnly && len(x.bounds) > 0 { // perhaps for a bound of the policy's alone
		over := &Error{Code: CodeLimited, Public: err.Error()}
		if held, err = x.live.Reserve(call.server.Name, x.rec.Tool, cost); err == nil {
			x.only(over)
		}
	}
	if err != nil {
		x.rec.Reasons = []string{err.Error()}
		return &Error{Code: CodeLimited, Public: err.Error(), Err: err}
	}
	x.held = held
	x.rec.Calls, x.rec.Bytes = 1, held.Bytes()
	return nil
}

// callDigest is of all that a client says with a call but for _meta: its arguments, and its answers to
// what the server asked in between. With _meta, whoever writes another word there could repeat a call at will.
func (x *exchange) callDigest(call checked) string {
	said := append([]byte(call.msg.Name+"\x00"), call.msg.Arguments...)
	for _, member := range []string{"inputResponses", "argument", "ref"} {
		said = append(append(said, 0), valueOf(call.msg.Params, member)...)
	}
	return x.g.recorder.Digest(said)
}

// uncounted refuses what the policy bounds and nobody counts.
func (x *exchange) uncounted() *Error {
	if len(x.bounds) == 0 {
		return nil
	}
	return refuse(CodeDenied, "Denied: the policy asks for max_calls, which counts calls, reads of resources and prompts and nothing else (decision %s)", x.rec.ID)
}

// charged are the methods that cost a call.
func charged(msg *wire.Message) bool {
	return msg.Method == wire.MethodToolsCall || msg.Method == wire.MethodResRead || msg.Method == wire.MethodPromptsGet
}

// refund gives back what was reserved, where the server surely had nothing of it. It is in the
// record with the outcome where the record of the decision charged it; a charge that no record
// holds must not be given back by one, or the grant would have more calls after the next start
// than it was given.
func (x *exchange) refund() {
	if x.held == nil {
		return
	}
	x.held.Refund()
	x.rec.Calls, x.rec.Bytes = 0, 0
	if x.decided {
		x.rec.Calls, x.rec.Bytes = -1, -x.held.Bytes()
	}
	x.held = nil
}

// schemas are the compiled constraints of grants, by their text.
type schemas struct {
	mu     sync.Mutex // guards byText
	byText map[string]*catalog.Schema
}

// maxSchemas is how many are kept, each of less than a megabyte. When there are more all are
// forgotten: grants that live for one task bring few.
const maxSchemas = 64

func (s *schemas) get(text string) (*catalog.Schema, error) {
	s.mu.Lock()
	known := s.byText[text]
	s.mu.Unlock()
	if known != nil {
		return known, nil
	}
	made, err := catalog.CompileSmall([]byte(text))
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byText == nil || len(s.byText) >= maxSchemas {
		s.byText = make(map[string]*catalog.Schema)
	}
	s.byText[text] = made
	return made, nil
}

// CheckConstraint says why arguments could not be held against a constraint, or nil. For who makes
// grants.
func CheckConstraint(c grant.Constraint) error {
	if c.Rego != "" {
		return nil // the policy knows its rules
	}
	_, err := catalog.CompileSmall(c.Schema)
	return err
}

// EndGrants ends what is kept for grants that are over, each with the subject that had it:
// sessions, here and at the servers, processes, and credentials that were leased. What was under
// way has ended with the grant's context.
func (g *Gateway) EndGrants(ended []Party) {
	over := make(map[string]bool, len(ended))
	for _, p := range ended {
		over[p.Grant] = true
	}
	snap := g.snapshot.Load()
	if snap == nil {
		return
	}
	for _, server := range snap.members {
		for _, p := range ended {
			if server.Link != nil {
				server.Link.EndClient(p.Grant)
			}
			if own, ok := server.Upstream.(grantEnder); ok {
				own.EndGrant(p)
			}
		}
	}
	for _, s := range g.sessions.EndOf(func(owner string) bool { return over[identity.GrantOf(owner)] }) {
		if s.Server == "" {
			g.clients.Drop(s.ID)
		} else if server := snap.Servers[s.Server]; server != nil {
			g.farewells <- struct{}{} // until there is room: a server may be slow to hear it
			go func() {
				defer func() { <-g.farewells }()
				server.endSession(s.ID, Party{Key: s.Owner, Grant: identity.GrantOf(s.Owner)})
			}()
		}
	}
}

// maxFarewells is how many servers are told at the same time that a session is over.
const maxFarewells = 64

// cancelAtServer tells the server that nobody waits for a call any more. In the older era a broken
// connection does not say so; in the newer one, and at the federated endpoint, others have.
func (x *exchange) cancelAtServer(call checked) {
	msg := call.msg
	if call.all || call.session == "" || msg.Era != wire.Legacy || msg.Kind != wire.Request || x.sent.IsZero() {
		return
	}
	go call.server.inform(TellCancelled(call.session, bytes.Clone(msg.ID)).As(x.party()))
}

// endSessionTimeout bounds telling a server that a call or a session is over.
const endSessionTimeout = 5 * time.Second

// endSession tells the server that a session is over whose client may not say so any more. A
// server that does not hear it forgets the session when it likes.
func (s *Server) endSession(id string, of Party) { s.inform(EndSession(id).As(of)) }

// inform sends an errand whose answer says nothing.
func (s *Server) inform(e Errand) {
	ctx, cancel := context.WithTimeout(context.Background(), endSessionTimeout)
	defer cancel()
	reply, err := s.Upstream.Ask(ctx, e)
	if err != nil {
		s.log.Debug("the server was not told", slog.Any("error", err))
		return
	}
	_ = reply.Body.Close() // nothing in it matters
}

// grantEnder is an Upstream that keeps something for a grant.
type grantEnder interface{ EndGrant(p Party) }
