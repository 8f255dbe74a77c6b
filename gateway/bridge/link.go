package bridge

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"sallyport/gateway"
	"sallyport/gateway/wire"
)

// Options say how a Link behaves. Zero fields other than Speaks take the defaults.
type Options struct {
	Name string // of the server, for what clients are told
	// Speaks reports in which revisions the server has answered. Required.
	Speaks func() (modern, legacy bool)
	// Bindings returns the arguments of a tool that travel in headers as well; may be nil.
	Bindings func(tool string) []wire.HeaderBinding
	// Changed is called when an older server says during the call of a newer client that one of its
	// lists is another, which that client is not told there; may be nil.
	Changed func()

	Limits       wire.Limits      // of one message of the server; default 16 MiB
	CallTimeout  time.Duration    // of a handshake, and of each message of the link's own; default 30 s
	Patience     time.Duration    // how long a call waits for its client's answer; default 5 min
	SessionIdle  time.Duration    // a session unused for this long makes room for others; default 30 min
	MaxSessions  int              // at the server, at the same time; default 1024
	MaxQuestions int              // calls that wait for their clients; default 256, and of one client 16 at most
	Now          func() time.Time // default time.Now
	Log          *slog.Logger     // default: discard
}

func (o Options) orDefault() Options {
	if o.Speaks == nil {
		o.Speaks = func() (modern, legacy bool) { return false, false }
	}
	if o.Bindings == nil {
		o.Bindings = func(string) []wire.HeaderBinding { return nil }
	}
	if o.Changed == nil {
		o.Changed = func() {}
	}
	if o.Limits.Bytes <= 0 {
		o.Limits.Bytes = 16 << 20
	}
	for _, d := range []struct {
		at        *time.Duration
		otherwise time.Duration
	}{{&o.CallTimeout, 30 * time.Second}, {&o.Patience, 5 * time.Minute}, {&o.SessionIdle, 30 * time.Minute}} {
		if *d.at <= 0 {
			*d.at = d.otherwise
		}
	}
	if o.MaxSessions <= 0 {
		o.MaxSessions = 1024
	}
	if o.MaxQuestions <= 0 {
		o.MaxQuestions = 256
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Log = o.Log.With(slog.String("server", o.Name))
	return o
}

// Link is one server as the federated endpoint speaks to it: in whatever revision of the protocol
// and in whatever session the client is. It is safe for concurrent use.
type Link struct {
	up   gateway.Upstream
	o    Options
	ctx  context.Context // ends with Close
	stop context.CancelFunc

	running sync.WaitGroup // what goes on beside the requests

	mu        sync.Mutex // guards all below
	closed    bool       // nothing begins any more
	drained   bool       // nothing runs beside the requests any more
	sessions  map[client]*session
	calls     map[*call]bool       // at an older server, under ids of ours
	parked    map[string]*call     // of those, by state: the ones whose client is to answer
	questions map[string]*question // of rounds, by raw id
}

var _ gateway.Link = (*Link)(nil)

// New returns a link to the server behind up. It sends nothing yet.
func New(up gateway.Upstream, o Options) *Link {
	l := &Link{up: up, o: o.orDefault(), sessions: map[client]*session{}, calls: map[*call]bool{}, parked: map[string]*call{}, questions: map[string]*question{}}
	l.ctx, l.stop = context.WithCancel(context.Background())
	return l
}

// client is whose sessions, calls and questions are kept apart from everybody else's.
type client struct {
	session    string // of the federated endpoint; "" for those that have none
	key, grant string
	can        gateway.Capabilities // of a client without a session, which says it with each request
}

func clientOf(out gateway.Outbound) client {
	c := client{session: out.Session, key: out.For.Key, grant: out.For.Grant}
	if out.Session == "" {
		c.can = out.Can
	}
	return c
}

// belongs reports whether the client is, or acts for, what has the name: a session of the endpoint,
// a principal's key, or a grant.
func (c client) belongs(name string) bool {
	return name != "" && (c.session == name || c.key == name || c.grant == name)
}

// Send carries one message of the federated endpoint's client; it is what [gateway.Upstream] says.
func (l *Link) Send(ctx context.Context, p *gateway.Permit) (*gateway.Reply, error) {
	var out gateway.Outbound
	p, err := p.Exchange(func(o gateway.Outbound) (gateway.Outbound, error) { out = o; return o, nil })
	if err != nil {
		return nil, err
	}
	msg := out.Message
	modern, legacy := l.o.Speaks()
	switch {
	case msg == nil:
		return nil, fmt.Errorf("%w: %s is not for one server", gateway.ErrUnreachable, out.Method)
	case msg.Kind == wire.Notification:
		return accepted(), nil // none of those that the endpoint passes on means anything to a server
	case msg.Kind == wire.Response:
		return l.answer(ctx, p, out)
	case !carried(msg.Method):
		return l.refuse(msg, wire.RPCUnknownMethod, notCarried(msg.Method, l.o.Name)), nil
	case msg.Era == wire.Modern && modern && !l.waits(out):
		return l.up.Send(ctx, p)
	case !modern && !legacy:
		return nil, fmt.Errorf("%w: the server has not answered in any revision of the protocol yet", gateway.ErrUnreachable)
	case msg.Era == wire.Modern && msg.IsRetry:
		return l.retry(ctx, p, out)
	case msg.Era == wire.Legacy && !legacy:
		return l.ask(ctx, p, out)
	case out.Session == "":
		return l.begin(ctx, p, out)
	}
	return l.same(ctx, p, out)
}

// Ask sends an errand as it is.
func (l *Link) Ask(ctx context.Context, e gateway.Errand) (*gateway.Reply, error) {
	return l.up.Ask(ctx, e)
}

// carried are the requests that name something of one server's.
func carried(method string) bool {
	switch method {
	case wire.MethodToolsCall, wire.MethodPromptsGet, wire.MethodResRead, wire.MethodComplete:
		return true
	}
	return false
}

// mayAsk reports whether the newer protocol lets a server ask for input during the request.
func mayAsk(method string) bool { return carried(method) && method != wire.MethodComplete }

func notCarried(method, server string) string {
	switch method {
	case wire.MethodResSubscribe, wire.MethodResUnsub:
		return method + " is not served here, where updates of one server's resources could not reach you: connect to /mcp/" + server
	}
	return "Method not found: " + method + " is not carried to servers from here: connect to /mcp/" + server
}

// Refuse answers a question that the policy keeps from the client; see [gateway.Link].
func (l *Link) Refuse(ctx context.Context, session string, p gateway.Party, id []byte) error {
	who := client{session: session, key: p.Key, grant: p.Grant}
	if q := l.take(string(id), who); q != nil {
		q.r.fail(rpcDenied, "the policy does not let the server ask "+q.method)
		return nil
	}
	l.mu.Lock()
	s := l.sessions[who]
	l.mu.Unlock()
	if s == nil || !s.open() {
		return nil // the question has gone with its session
	}
	return l.errand(ctx, gateway.RefuseQuestion(s.id, id).As(s.party).In(s.version))
}

// EndClient ends what is kept for a session of the federated endpoint, or for all of a principal
// (by its key) or of a grant (by its id): calls under way, and the sessions at the server.
func (l *Link) EndClient(name string) {
	l.mu.Lock()
	var sessions []*session
	var calls []*call
	for who, s := range l.sessions {
		if who.belongs(name) {
			sessions = append(sessions, s)
			delete(l.sessions, who)
		}
	}
	for c := range l.calls {
		if c.who.belongs(name) {
			calls = append(calls, c)
		}
	}
	for _, q := range l.questions {
		if q.r.who.belongs(name) {
			q.r.fail(rpcUnavailable, "the session has ended")
		}
	}
	l.mu.Unlock()
	for _, c := range calls {
		c.end(abandoned)
	}
	for _, s := range sessions {
		l.endSession(s)
	}
}

// endSession tells the server that a session is over, which must have been taken out of the table.
func (l *Link) endSession(s *session) {
	if s.open() && s.id != "" {
		l.tell(gateway.EndSession(s.id).As(s.party).In(s.version))
	}
}

// closeTimeout bounds what Close waits for.
const closeTimeout = 5 * time.Second

// Close ends all calls and sessions, tells the server so, and waits for that, at most 5 s.
func (l *Link) Close() {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.closed = true
	var calls []*call
	for c := range l.calls {
		calls = append(calls, c)
	}
	for _, q := range l.questions {
		q.r.fail(rpcUnavailable, "the server has been removed, or the gateway is stopping")
	}
	sessions := l.sessions
	l.sessions = map[client]*session{}
	l.mu.Unlock()
	for _, c := range calls {
		c.end(abandoned)
	}
	for _, s := range sessions {
		l.endSession(s)
	}
	l.mu.Lock()
	l.drained = true
	l.mu.Unlock()
	defer time.AfterFunc(closeTimeout, l.stop).Stop()
	l.running.Wait()
	l.stop()
}

// tell sends an errand whose answer nobody waits for.
func (l *Link) tell(e gateway.Errand) {
	l.aside(func() {
		if err := l.errand(l.ctx, e); err != nil {
			l.o.Log.Debug("server was not told", slog.Any("error", err))
		}
	})
}

// aside runs f beside the requests; not after Close. It reports whether f runs.
func (l *Link) aside(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.drained {
		return false
	}
	l.running.Go(f)
	return true
}

func (l *Link) errand(ctx context.Context, e gateway.Errand) error {
	ctx, cancel := context.WithTimeout(ctx, l.o.CallTimeout)
	defer cancel()
	reply, err := l.up.Ask(ctx, e)
	if err != nil {
		return err
	}
	_ = reply.Body.Close()
	if reply.Status >= http.StatusBadRequest {
		return fmt.Errorf("%w: status %d", gateway.ErrGarbage, reply.Status)
	}
	return nil
}
