package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"sallyport/identity/grant"
	"sallyport/identity/mint"
)

// Bounds of one connection. Callers are on this machine and small; who is slower is broken.
const (
	headerTime = 5 * time.Second
	bodyTime   = 10 * time.Second
	answerTime = 30 * time.Second
	idleTime   = time.Minute
	stopTime   = 2 * time.Second
	maxHeader  = 8 << 10
)

// clientID is the client of grants whose asker names none.
const clientID = "sallyport"

// LocalRule says what one user of this machine may ask for at the socket.
type LocalRule struct {
	UID      uint32   // as the kernel numbers the user
	User     string   // subject of the user's grants; empty or a number: the user's name on this machine
	Roles    []string // that the user may ask for
	Operator bool     // any role, for any subject, and all grants are the operator's to list and end
}

// Measures keeps the manifests of measured files.
type Measures interface {
	// Approve keeps a manifest that who, an operator, approves. Its error is shown to who.
	Approve(ctx context.Context, who string, manifest json.RawMessage) error
	// Current returns what is approved now.
	Current(ctx context.Context) (json.RawMessage, error)
}

// Options are what the server works with. Authority, Local and Log are required.
type Options struct {
	Authority *mint.Authority
	Local     func() []LocalRule // asked at each request; of rules for one user the first counts
	PublicURL string             // told to callers, and the issuer of their subjects
	Measures  Measures           // nil: manifests are not kept here
	Pins      Pins               // nil: definitions are not kept here
	Approvals Approvals          // without a desk no call waits for a person here
	Log       *slog.Logger

	peer func(*net.UnixConn) (peer, error) // tests only: the kernel cannot be asked to lie
}

// Serve answers callers at ln until ctx ends or ln fails, and closes ln. A request under way is
// finished. What is held (Client.Hold) is let go without its grant being ended: a gateway that
// starts again must not end the tasks of this machine.
func Serve(ctx context.Context, ln *net.UnixListener, o Options) error {
	if o.Authority == nil || o.Local == nil || o.Log == nil {
		return errors.Join(errors.New("admin socket: Authority, Local and Log are required"), ln.Close())
	}
	if o.peer == nil {
		o.peer = kernelPeer
	}
	s := &server{Options: o, closing: ctx.Done()}
	srv := &http.Server{Handler: s, ConnContext: peerContext,
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
		ReadHeaderTimeout: headerTime, ReadTimeout: bodyTime, WriteTimeout: answerTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug)}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(&door{UnixListener: ln, peer: o.peer, log: o.Log, open: map[uint32]int{}}) }()
	select {
	case err := <-failed:
		return fmt.Errorf("admin socket %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	if srv.Shutdown(stop) != nil {
		return srv.Close()
	}
	return nil
}

type server struct {
	Options
	closing <-chan struct{} // closed when the server ends
	holds   holds

	deciding sync.Mutex // held while a decision about a call is recorded and made
}

// caller is a user of this machine who may ask for something.
type caller struct {
	LocalRule
	pid int32
}

func (s *server) asker(c caller) mint.Asker {
	return mint.Asker{Name: fmt.Sprintf("user %s (uid %d)", c.User, c.UID), Subject: c.User, Issuer: s.PublicURL, ClientID: clientID, Roles: c.Roles,
		AnyRole: c.Operator, Operator: c.Operator, Via: "socket"}
}

// An act answers one request: with a value to send, with an error, or with neither where it has
// answered itself.
type act func(*server, http.ResponseWriter, *http.Request, caller) (any, error)

var acts = map[string]map[string]act{
	pathGrants:   {http.MethodPost: (*server).create, http.MethodGet: (*server).list},
	pathRevoke:   {http.MethodPost: (*server).revoke},
	pathTokens:   {http.MethodPost: (*server).token},
	pathHold:     {http.MethodPost: (*server).hold},
	pathWhoami:   {http.MethodGet: (*server).whoami},
	pathMeasures: {http.MethodPost: (*server).approve, http.MethodGet: (*server).measures},
	pathPins:     {http.MethodPost: (*server).look},
	pathReview:   {http.MethodPost: (*server).review},

	pathApprovals: {http.MethodPost: (*server).decide, http.MethodGet: (*server).waiting},
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	most := int64(maxBody)
	if r.URL.Path == pathMeasures {
		most = maxManifest
	}
	r.Body = http.MaxBytesReader(w, r.Body, most)
	c, v, err := s.answer(w, r)
	attrs := []any{slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.String("user", c.User), slog.Int("pid", int(c.pid))}
	switch {
	case err != nil:
		ref := s.refusal(err, c)
		s.Log.Warn("admin socket: refused", append(attrs, slog.Int("status", ref.Status), slog.Any("err", err), slog.Any("cause", errors.Unwrap(err)))...)
		send(w, ref.Status, refusal{Error: ref.Code, Message: ref.Message})
		return
	case v != nil:
		send(w, http.StatusOK, v)
	}
	s.Log.Debug("admin socket: answered", attrs...)
}

func (s *server) answer(w http.ResponseWriter, r *http.Request) (caller, any, error) {
	c, err := s.caller(r)
	if err != nil {
		return c, nil, err
	}
	if len(r.Header.Values("Origin")) > 0 {
		return c, nil, refuse(http.StatusForbidden, "a web page has nothing to ask here")
	}
	methods, ok := acts[r.URL.Path]
	if !ok {
		return c, nil, refuse(http.StatusNotFound, "there is nothing at this path; are command and gateway of one version?")
	}
	do, ok := methods[r.Method]
	if !ok {
		return c, nil, refuse(http.StatusMethodNotAllowed, "this path does not know that method; are command and gateway of one version?")
	}
	v, err := do(s, w, r, c)
	return c, v, err
}

// caller says who asks, by the kernel's word alone.
func (s *server) caller(r *http.Request) (caller, error) {
	p, ok := peerOf(r.Context())
	if !ok {
		return caller{}, refuse(http.StatusForbidden, "the kernel does not say who you are")
	}
	c := caller{LocalRule: LocalRule{UID: p.UID}, pid: p.PID}
	rules := s.Local()
	i := slices.IndexFunc(rules, func(rule LocalRule) bool { return rule.UID == p.UID })
	if i < 0 {
		c.User = username(p.UID)
		return c, refuse(http.StatusForbidden, fmt.Sprintf("user %s (uid %d) may ask for nothing here; the operator adds identity.local: [{user: %s, roles: […]}] to the gateway's configuration (operator: true for all roles and all grants)",
			c.User, p.UID, c.User))
	}
	c.LocalRule = rules[i]
	if strings.Trim(c.User, "0123456789") == "" { // a number in the configuration is the user as well
		c.User = username(p.UID)
	}
	return c, nil
}

// refusal says what the caller is told. An operator may read the gateway's files anyway, so is
// told what went wrong inside; others are told that something did.
func (s *server) refusal(err error, c caller) *mint.Refusal {
	if ref, ok := errors.AsType[*mint.Refusal](err); ok {
		told := *ref
		if told.Status < 400 {
			told.Status = http.StatusBadRequest
		}
		if cause := errors.Unwrap(ref); cause != nil && told.Status >= 500 && c.Operator {
			told.Message += ": " + cause.Error()
		}
		return &told
	}
	told := &mint.Refusal{Code: "server_error", Status: http.StatusInternalServerError, Message: "the gateway could not do it; its log says why"}
	if errors.Is(err, grant.ErrStale) {
		told = &mint.Refusal{Code: "temporarily_unavailable", Status: http.StatusServiceUnavailable, Message: "the gateway cannot read its grants, so it gives none; its log says why"}
	}
	if c.Operator {
		told.Message = err.Error()
	}
	return told
}

// codes are the OAuth error codes of refusals that are about the request itself.
var codes = map[int]string{http.StatusForbidden: "access_denied", http.StatusNotFound: "not_found", http.StatusTooManyRequests: "temporarily_unavailable"}

func refuse(status int, message string) *mint.Refusal {
	code, ok := codes[status]
	if !ok {
		code = "invalid_request"
	}
	return &mint.Refusal{Code: code, Message: message, Status: status}
}

func send(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", jsonType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // who has gone hears nothing
}

// one returns the single value of a query parameter.
func one(values []string) (string, bool) {
	if len(values) != 1 || strings.TrimSpace(values[0]) == "" {
		return "", false
	}
	return values[0], true
}
