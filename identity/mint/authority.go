package mint

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"sallyport/identity/grant"
)

// Lives of a grant. They are constants so that no configuration brings permanent access back.
const (
	DefaultGrantTTL = time.Hour      // where none was asked
	MaxGrantTTL     = 24 * time.Hour // longer is refused
)

// Asker is who wants something of an [Authority]. Whoever fills it in has made sure of it: by
// the kernel's word for the peer of a socket, a verified token, or an outside identity that a
// federation rule matched. The zero Asker may do nothing.
type Asker struct {
	Name     string    // for the record and ApprovedBy: "user dev (uid 1000)"
	Subject  string    // whom his grants are for
	Issuer   string    // who vouches for Subject; two issuers' subjects of one name are two
	ClientID string    // of his grants, where he names none
	Roles    []string  // that he may ask for
	AnyRole  bool      // Roles does not bound him
	Operator bool      // may act for others
	Grant    string    // of the token that he shows: he gets only children of it, and tokens of its tree
	Actors   []string  // of the token that he shows: with any he gets no grant at all
	Until    time.Time // end of what he showed, and so of the tokens he gets; zero: no bound
	Via      string    // how he came: "socket", "operator", "federation:RULE", "token"
}

// Ways by which an asker comes that decide what he gets.
const (
	viaOperator = "operator"
	viaRule     = "federation:" // and the rule's name
)

// Ask is what a grant is asked to be. Empty fields take what is said beside them.
type Ask struct {
	Roles     []string           // all that the asker has
	Tools     []string           // patterns "server.tool"; whatever the roles may use
	Args      []grant.Constraint // none
	MaxCalls  int64              // not counted
	Budgets   []grant.Budget     // none
	TTL       time.Duration      // DefaultGrantTTL, and no longer than the parent
	NotBefore time.Time          // now
	Task      string
	Reason    string
	Subject   string // the asker's; only an operator may name another
	ClientID  string // the asker's
	JKT, X5T  string // key to bind the grant to
	Measured  string // digest of the agent's own files
	Implicit  bool   // made on the way of a token that was asked without one
	Child     bool   // refused unless it becomes a child of the asker's grant
}

// TokenAsk asks for a token of a grant that is there.
type TokenAsk struct {
	Grant    string        // required
	TTL      time.Duration // 1 s to 15 min in whole seconds; zero: the issuer's default
	JKT, X5T string        // key to bind the token to; that of the grant where it is bound
	Measured string        // digest of the agent's own files, now
}

// Methods of an [Act].
const (
	ActCreate = "grant/create"
	ActRevoke = "grant/revoke"
	ActMint   = "token/mint"
)

// Act is what an [Authority] is about to do, for the audit log. It holds no token.
type Act struct {
	Method  string   // one of the constants Act…
	Subject string   // whom the grant or token is for
	Client  string   // its client
	Grant   string   // its id; empty where several grants are ended at once
	Task    string   // its task
	JTI     string   // of the token
	Source  string   // who asked, and by which way
	Detail  string   // what else a reader of the log must know
	Roles   []string // of the grant or token
}

// AuthorityConfig is what an [Authority] works with. Issuer, Grants and Record are required.
type AuthorityConfig struct {
	Issuer *Issuer
	Grants *grant.Registry
	// Record makes an act durable. It is called before the act takes effect; on its error
	// nothing is done.
	Record func(context.Context, Act) error
	// Role returns an error, with the nearest names, unless a role exists. Nil: all exist.
	Role func(string) error
	// Constraint returns an error unless a constraint can be applied. Nil: all can.
	Constraint func(grant.Constraint) error
	// RequireProof says whether grants with one of these roles must be bound to a key. Nil: none.
	RequireProof func(roles []string) bool
	Now          func() time.Time // default time.Now
}

// Authority makes and ends grants, and signs tokens of them, for all doors: the admin socket,
// the token endpoint, and commands that hold the state themselves. It is safe for concurrent
// use. Its errors are *Refusal.
type Authority struct{ cfg AuthorityConfig }

// NewAuthority refuses a configuration without an issuer, grants or a record: an act that
// leaves no trace must not be possible.
func NewAuthority(cfg AuthorityConfig) (*Authority, error) {
	if cfg.Issuer == nil || cfg.Grants == nil || cfg.Record == nil {
		return nil, errors.New("an authority needs an issuer, grants and a record of its acts")
	}
	if cfg.Role == nil {
		cfg.Role = func(string) error { return nil }
	}
	if cfg.Constraint == nil {
		cfg.Constraint = func(grant.Constraint) error { return nil }
	}
	if cfg.RequireProof == nil {
		cfg.RequireProof = func([]string) bool { return false }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Authority{cfg: cfg}, nil
}

// Codes of a [Refusal] (RFC 6749 §5.2, RFC 8707 §2, RFC 9396 §5, RFC 9449 §5).
const (
	codeRequest = "invalid_request"
	codeClient  = "invalid_client"
	codeGrant   = "invalid_grant"
	codeType    = "unsupported_grant_type"
	codeTarget  = "invalid_target"
	codeDetails = "invalid_authorization_details"
	codeProof   = "invalid_dpop_proof"
	codeNonce   = "use_dpop_nonce"
	codeDenied  = "access_denied"
	codeNotNow  = "temporarily_unavailable"
	codeBroken  = "server_error"
)

// Refusal is why something was not done, in words for the person who asked: what was wrong,
// and what to do. It holds no token and no secret.
type Refusal struct {
	Code    string // an OAuth error code
	Message string
	Status  int // of an HTTP answer

	err error // what was behind it, for the log
}

// Error returns the message.
func (r *Refusal) Error() string { return r.Message }

// Unwrap returns what was behind the refusal. It is for the log and may be nil.
func (r *Refusal) Unwrap() error { return r.err }

func refuse(code, format string, a ...any) *Refusal {
	return &Refusal{Code: code, Message: fmt.Sprintf(format, a...), Status: http.StatusBadRequest}
}

// unavailable is a refusal that says nothing of the asker: the gateway cannot do its part now.
func unavailable(err error, message string) *Refusal {
	return &Refusal{Code: codeNotNow, Message: message, Status: http.StatusServiceUnavailable, err: err}
}

// record writes an act down, or says that nothing was done.
func (a *Authority) record(ctx context.Context, by Asker, act Act) error {
	act.Source = by.source()
	if err := a.cfg.Record(ctx, act); err != nil {
		return unavailable(err, "the audit log cannot be written, so nothing was done; the gateway's log says why")
	}
	return nil
}

// source names the asker for the record.
func (by Asker) source() string {
	name := by.Name
	if name == "" {
		name = by.Subject
	}
	if by.Via == "" {
		return name
	}
	return name + " via " + by.Via
}

// via is how a grant of the asker came to be. What an operator gives, the rules that say what
// others may ask for do not bound.
func (by Asker) via() string {
	if by.Operator {
		return viaOperator
	}
	return by.Via
}

// owns reports whether a grant is the asker's own: subject and issuer together are who he is.
func (by Asker) owns(g *grant.Grant) bool {
	return by.Subject != "" && g.Subject == by.Subject && g.Issuer == by.Issuer
}
