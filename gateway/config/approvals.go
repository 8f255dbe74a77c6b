package config

import (
	"context"
	"fmt"
	"time"

	"sallyport/gateway/admin"
	"sallyport/gateway/approval"
	"sallyport/gateway/audit"
)

// approvalActs is how the operator's socket decides about calls that wait: on record first.
func (s *Service) approvalActs() admin.Approvals {
	return admin.Approvals{Desk: s.approvals, Record: func(ctx context.Context, by approval.Approver, t approval.Ticket, approve bool, why string) error {
		r := &audit.Record{ID: audit.NewID(), Time: time.Now(), Phase: audit.PhaseDecision, Method: "approval/approve", Server: t.Server, Tool: t.Tool,
			ArgumentsDigest: t.Digest, Subject: t.Subject, Client: t.Client, Grant: t.Grant, Task: t.Task, Decision: "allow", Code: "ok",
			PolicyRevision: t.PolicyRevision, Source: by.Name, Detail: fmt.Sprintf("%s for role %s", t.ID, t.By)}
		if !approve {
			r.Method, r.Decision = "approval/deny", "deny"
		}
		if why != "" {
			r.Reasons = []string{why}
		}
		return s.recorder.Decide(ctx, r)
	}}
}
