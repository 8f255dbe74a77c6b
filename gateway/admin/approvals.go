package admin

import (
	"context"
	"fmt"
	"net/http"

	"sallyport/gateway/approval"
	"sallyport/internal/strictjson"
)

// Approvals are the calls that wait for a person.
type Approvals struct {
	Desk *approval.Desk
	// Record writes a decision down before it counts; on its error it does not.
	Record func(ctx context.Context, by approval.Approver, t approval.Ticket, approve bool, why string) error
}

// ApprovalAsk is a decision about one call.
type ApprovalAsk struct {
	ID      string `json:"id"`
	Approve bool   `json:"approve"`
	Why     string `json:"why,omitempty"`
}

// maxWhy bounds, in bytes, what a person says of a decision: a model reads it.
const maxWhy = 500

var approvalScope = strictjson.Only(strictjson.NewKeySet("id", "approve", "why"), nil)

func (s *server) approver(c caller) approval.Approver {
	a := s.asker(c)
	return approval.Approver{Name: a.Name, Subject: a.Subject, Issuer: a.Issuer, Roles: c.Roles, Operator: c.Operator}
}

func (s *server) waiting(_ http.ResponseWriter, _ *http.Request, c caller) (any, error) {
	if s.Approvals.Desk == nil {
		return nil, refuse(http.StatusNotFound, noApprovals)
	}
	return s.Approvals.Desk.List(s.approver(c)), nil
}

const noApprovals = "this gateway has no calls that wait for a person"

func (s *server) decide(_ http.ResponseWriter, r *http.Request, c caller) (any, error) {
	if s.Approvals.Desk == nil {
		return nil, refuse(http.StatusNotFound, noApprovals)
	}
	ask, err := decode[ApprovalAsk](r, approvalScope)
	if err != nil {
		return nil, err
	}
	if len(ask.Why) > maxWhy {
		return nil, refuse(http.StatusBadRequest, fmt.Sprintf("the reason has %d bytes; a model has to read it, so it has at most %d", len(ask.Why), maxWhy))
	}
	// One at a time: else two people could both be in the record with a decision of which one counts.
	s.deciding.Lock()
	defer s.deciding.Unlock()
	by := s.approver(c)
	t, err := s.Approvals.Desk.Check(ask.ID, by)
	if err != nil {
		return nil, refuse(http.StatusForbidden, err.Error())
	}
	if err := s.Approvals.Record(r.Context(), by, t, ask.Approve, ask.Why); err != nil {
		return nil, fmt.Errorf("the decision cannot be recorded, so it does not count: %w", err)
	}
	t, err = s.Approvals.Desk.Decide(ask.ID, by, ask.Approve, ask.Why)
	if err != nil {
		return nil, refuse(http.StatusForbidden, err.Error())
	}
	return t, nil
}

// Waiting returns the calls that wait for a person, and those decided that have not lapsed, of
// those that the caller may see.
func (c *Client) Waiting(ctx context.Context) ([]approval.Ticket, error) {
	return do[[]approval.Ticket](ctx, c, http.MethodGet, pathApprovals, nil)
}

// DecideCall approves or denies one call.
func (c *Client) DecideCall(ctx context.Context, ask ApprovalAsk) (approval.Ticket, error) {
	return do[approval.Ticket](ctx, c, http.MethodPost, pathApprovals, ask)
}
