package gateway

import (
	"context"
	"time"

	"sallyport/gateway/audit"
	"sallyport/gateway/guard"
	"sallyport/gateway/guard/secrets"
	"sallyport/gateway/rules"
	"sallyport/identity"
	"sallyport/internal/strictjson"
	"sallyport/policy"
)

// Verifier says who is calling.
type Verifier interface {
	// Verify returns the principal of the request's token, or an error and nil. It proves
	// possession, so it is asked once for each request.
	Verify(ctx context.Context, r *identity.Request) (*identity.Principal, error)
}

// Decider says whether a call may be made. A *policy.Generation is one.
type Decider interface {
	// Decide answers for one call. On any error the decision is the zero Decision, which denies.
	Decide(ctx context.Context, in *policy.Input) (policy.Decision, error)
	// Denied answers for housekeeping, which needs no allow but may be denied.
	Denied(ctx context.Context, in *policy.Input) (policy.Decision, error)
	// Visible reports whether any arguments could be allowed.
	Visible(ctx context.Context, in *policy.Input) (bool, error)
	// Holds asks a rule that a grant names for its arguments. On any error the answer is false.
	Holds(ctx context.Context, rule string, in *policy.Input) (bool, error)
	// JudgesResults reports whether the policy has something to say about results.
	JudgesResults() bool
	// DecideResult answers for the result of a call. On any error the decision is the zero Decision.
	DecideResult(ctx context.Context, in *policy.Input) (policy.Decision, error)
	// Erasure says what must be erased from an input before it is recorded. On an error nothing of the
	// input may be.
	Erasure(ctx context.Context, in *policy.Input) (policy.Erasure, error)
	// SubjectKey identifies what the policy reads of a subject.
	SubjectKey(s *policy.Subject) string
	// GrantKey identifies what a list can read of a grant.
	GrantKey(g *policy.Grant) string
	// ArgumentNames are the names of members of the arguments, at any depth, that the policy speaks of.
	ArgumentNames() []string
	// Revision names the policy.
	Revision() string
}

// Recorder keeps the record. An *audit.Log is one.
type Recorder interface {
	// Decide returns once the record is on disk; on any error the call must not be made.
	Decide(ctx context.Context, r *audit.Record) error
	// Note queues a record that nobody waits for.
	Note(r *audit.Record) error
	// Refused counts a refusal of somebody who is nobody.
	Refused(source, code string)
	// Digest is the keyed digest of arguments.
	Digest(b []byte) string
}

// Inputs keeps what a policy was asked in the record of its decision, so that it can be asked again.
type Inputs interface {
	// Keep puts the document of a question into the record, whose id is set.
	Keep(r *audit.Record, doc []byte)
	// Readable reports whether whoever reads the record reads the document.
	Readable() bool
}

// Limits bound one request. Zero fields take the defaults.
type Limits struct {
	RequestBytes int64         // default 4 MiB
	ResultBytes  int64         // default 16 MiB; also of one streamed event
	Depth        int           // of JSON; default 64
	BodyTimeout  time.Duration // for reading a request body; default 30 s

	ConcurrentPerGrant int // calls of one grant at the same time; default 16
}

func (l Limits) orDefault() Limits {
	if l.RequestBytes <= 0 {
		l.RequestBytes = 4 << 20
	}
	if l.ResultBytes <= 0 {
		l.ResultBytes = 16 << 20
	}
	if l.Depth <= 0 {
		l.Depth = 64
	}
	if l.BodyTimeout <= 0 {
		l.BodyTimeout = 30 * time.Second
	}
	if l.ConcurrentPerGrant <= 0 {
		l.ConcurrentPerGrant = 16
	}
	return l
}

// Snapshot is everything the operator has said, at one moment. It is immutable; a reload is
// another Snapshot. A request begins with the newest, takes the newest again once its body is here, and
// keeps that to its end.
type Snapshot struct {
	Verifier  Verifier
	Policy    Decider
	Shadow    Decider // decides beside Policy and changes nothing; nil: nobody does
	Servers   map[string]*Server
	Door      *guard.Door           // judges what comes back
	Secrets   *secrets.Scanner      // looks for secrets on their way to a sink; nil: nobody does
	Canaries  bool                  // Secrets knows canaries and nothing else
	Rules     map[string]*rules.Set // what the operator says of the servers' tools, by server
	Sole      string                // the server behind /mcp, names unchanged; "" when /mcp stands for all
	PublicURL string                // scheme and authority, no slash at the end
	Hosts     map[string]bool       // acceptable Host values, lower case
	Origins   map[string]bool       // acceptable Origin values, lower case
	Limits    Limits

	// RecordOnly lets through what the policy refuses, and records that it would have been
	// refused. Broken messages and tokens are refused all the same, and a grant allows no more than
	// it says.
	RecordOnly bool

	// RequireProof refuses tokens that are not bound to a key; RequireProofFor does so for roles.
	RequireProof    bool
	RequireProofFor []string
	// Approved reports whether somebody has approved the agent's files of this digest; nil: nobody.
	Approved func(digest string) bool

	number        uint64           // of the swap that installed it
	members       []*Server        // Servers, by name
	said          string           // digest of Rules, which lists depend on
	argumentNames strictjson.Names // of what the policy reads of arguments, at any depth
}

// findsSecrets reports whether somebody looks for more than canaries.
func (s *Snapshot) findsSecrets() bool { return s.Secrets != nil && !s.Canaries }
