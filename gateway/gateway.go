package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/gateway/approval"
	"sallyport/gateway/catalog"
	"sallyport/gateway/hangup"
	"sallyport/gateway/rules"
	"sallyport/gateway/session"
	"sallyport/internal/strictjson"
)

// Sizes of the tables that outlive a request. Each entry is a few hundred bytes.
const (
	maxSessions = 100_000
	// maxSessionsEach is how many one principal has at the federated endpoint before the oldest of
	// them ends.
	maxSessionsEach = 256
	maxQuestions    = 10_000
	maxHandles      = 100_000
	viewBytes       = 64 << 20
)

// Options are the parts of a Gateway that do not change while it runs.
type Options struct {
	Recorder  Recorder         // required
	Grants    Grants           // required
	Approvals *approval.Desk   // of calls that a person must agree to; nil: such calls are refused
	StateKey  []byte           // 32 bytes; seals multi-round-trip state. Required
	Inputs    Inputs           // keeps what policies were asked; nil: nobody does
	MostInput int              // bytes of an input that is kept; default 64 KiB
	Observer  Observer         // nil: nobody watches
	Now       func() time.Time // default time.Now
	Logger    *slog.Logger     // default: discard
}

// Gateway serves /mcp and /mcp/{server}. It refuses everything until Swap has installed a
// Snapshot.
type Gateway struct {
	recorder  Recorder
	grants    Grants
	approvals *approval.Desk
	schemas   schemas
	room      *room
	inputs    Inputs
	mostInput int
	observer  Observer
	shadow    shadow
	counts    counts

	farewells chan struct{} // holds one for each server that is being told of a session's end
	now       func() time.Time
	log       *slog.Logger
	snapshot  atomic.Pointer[Snapshot]

	sessions *session.Sessions
	handles  *session.Handles
	flights  *session.Flights
	owed     *session.Owed[owed]
	sealer   *session.Sealer
	views    *catalog.Views
	streams  streams
	hangups  hangup.Watcher

	swaps    atomic.Uint64 // snapshots that were installed
	all      *Server       // stands for all servers together: the federated endpoint
	asked    *session.Owed[asked]
	begun    *session.Begun           // sessions of the federated endpoint, by principal
	clients  *session.Kept[fedClient] // of each session of the federated endpoint
	indexing sync.Mutex               // held while an index is made
	indexes  [2]atomic.Pointer[index] // by era; rebuilt when a catalogue is another
}

// New returns a gateway without a snapshot.
func New(o Options) (*Gateway, error) {
	if o.Recorder == nil || o.Grants == nil {
		return nil, errors.New("a gateway needs a recorder and grants")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MostInput <= 0 {
		o.MostInput = 64 << 10
	}
	sealer, err := session.NewSealer(o.StateKey, o.Now)
	if err != nil {
		return nil, err
	}
	return &Gateway{
		recorder: o.Recorder, grants: o.Grants, approvals: o.Approvals, farewells: make(chan struct{}, maxFarewells), now: o.Now, log: o.Logger, sealer: sealer,
		room: newRoom(), inputs: o.Inputs, mostInput: o.MostInput, observer: o.Observer,
		sessions: session.NewSessions(maxSessions),
		handles:  session.NewHandles(maxHandles),
		flights:  session.NewFlights(),
		owed:     session.NewOwed[owed](maxQuestions),
		views:    catalog.NewViews(viewBytes),
		all:      NewServer("", nil, o.Logger),
		asked:    session.NewOwed[asked](maxQuestions),
		begun:    session.NewBegun(maxSessions, maxSessionsEach),
		clients:  session.NewKept[fedClient](maxSessions),
	}, nil
}

// Swap installs a snapshot. Requests whose body is not here yet are decided by it; those that are being
// decided keep the one they have; open streams are authorised again, and end where it denies them.
func (g *Gateway) Swap(ctx context.Context, s *Snapshot) error {
	if s == nil || s.Verifier == nil || s.Policy == nil || s.Door == nil || s.PublicURL == "" {
		return errors.New("a snapshot needs a verifier, a policy, a door and a public URL")
	}
	if s.Sole != "" && s.Servers[s.Sole] == nil {
		return fmt.Errorf("a snapshot names %q as its only server and does not have it", s.Sole)
	}
	installed := *s
	installed.Limits = s.Limits.orDefault()
	installed.argumentNames = strictjson.NewNames(s.Policy.ArgumentNames())
	for _, name := range slices.Sorted(maps.Keys(s.Servers)) {
		srv := s.Servers[name]
		installed.members = append(installed.members, srv)
		news := g.streams.tell
		srv.changed.Store(&news)
	}
	installed.said = rules.Digest(installed.Rules)
	installed.number = g.swaps.Add(1)
	old := g.snapshot.Swap(&installed)
	if old != nil {
		g.streams.reauthorize(context.WithoutCancel(ctx), &installed)
	}
	return nil
}

// ServeHTTP takes one request along the line.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	snap := g.snapshot.Load()
	if snap == nil {
		http.Error(w, "the gateway is starting", http.StatusServiceUnavailable)
		return
	}
	x := g.open(w, r, snap)
	defer x.done()
	defer x.recovered()
	if err := x.serve(r.Context()); err != nil {
		x.refuse(x.orEnded(asError(err)))
	}
}

// federates reports whether the path stands for all servers together.
func (s *Snapshot) federates(path string) bool { return path == "/mcp" && s.Sole == "" }

// pathOf is the path of the request, or "" where it is written in another way than its only one, as
// with a letter in percent.
func pathOf(r *http.Request) string {
	if r.URL.EscapedPath() != r.URL.Path {
		return ""
	}
	return r.URL.Path
}

// serverOf returns the server that the path names. ok is false where there is none.
func (s *Snapshot) serverOf(path string) (*Server, bool) {
	name, below := strings.CutPrefix(path, "/mcp/")
	if !below {
		if path != "/mcp" || s.Sole == "" {
			return nil, false
		}
		name = s.Sole
	}
	srv, ok := s.Servers[name]
	return srv, ok
}
