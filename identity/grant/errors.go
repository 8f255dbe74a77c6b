package grant

import (
	"errors"
	"fmt"
	"time"
)

// Why a grant cannot be used. Bound contexts end with one of them as their cause.
var (
	ErrUnknown   = errors.New("no such grant")
	ErrNotYet    = errors.New("the grant's time has not begun")
	ErrExpired   = errors.New("the grant has expired")
	ErrBusy      = errors.New("too many requests of the grant are being read and decided")
	ErrRevoked   = errors.New("the grant was revoked")
	ErrCompleted = errors.New("the grant's task is completed")
	// ErrStale says that the store has been silent: what was revoked since is not known, so
	// nothing is usable.
	ErrStale = errors.New("grants are stale")
)

// Errors of stores.
var (
	ErrExists   = errors.New("a grant of this id is there already")
	ErrConflict = errors.New("the grant was changed by another")
	// ErrInvalid is wrapped by what Create says of a grant that cannot be.
	ErrInvalid = errors.New("not a valid grant")
)

// InvalidError says what is wrong with a grant that was to be created, in words for the person
// who asked for it. It wraps ErrInvalid, or ErrUnknown, ErrExpired and so on where the parent is
// the reason.
type InvalidError struct {
	Field string // JSON name of the field, "" where it is not one alone
	What  string // what is wrong and what to do
	err   error
}

func (e *InvalidError) Error() string {
	if e.Field == "" {
		return e.What
	}
	return e.Field + ": " + e.What
}

// Unwrap returns ErrInvalid or what is the matter with the parent.
func (e *InvalidError) Unwrap() error {
	if e.err == nil {
		return ErrInvalid
	}
	return e.err
}

func invalid(field, format string, args ...any) error {
	return &InvalidError{Field: field, What: fmt.Errorf(format, args...).Error()}
}

// ExhaustedError says which bound has no calls left.
type ExhaustedError struct {
	Grant  string // whose bound it is; an ancestor's counts too
	Tools  string // the pattern or tool that is bounded; "" for all calls together
	Limit  int64
	Policy bool // the bound is the policy's, not the grant's own
	Names  bool // Limit is of different tools, not of calls
	Kind   Kind
	Within time.Duration // of repeats; 0: ever
}

func (e *ExhaustedError) Error() string {
	if e.Names {
		return fmt.Sprintf("grant %s has used %d different tools, the most that are counted; ask for a new grant", e.Grant, e.Limit)
	}
	if e.Kind == Repeats {
		return e.repeated()
	}
	who := "grant " + e.Grant
	if e.Policy {
		who = "the policy"
	}
	of := ""
	if e.Tools != "" {
		of = " of " + e.Tools
	}
	if e.Kind == Bytes {
		return fmt.Sprintf("%s allows %d bytes of arguments%s, and this call would be beyond; ask for a new grant", who, e.Limit, of)
	}
	return fmt.Sprintf("%s allows %d %s%s and all are used; ask for a new grant", who, e.Limit, plural(e.Limit), of)
}

func (e *ExhaustedError) repeated() string {
	if e.Limit == 0 {
		return "more calls are under a bound on repeats than can be remembered; ask for a new grant"
	}
	within := ""
	if e.Within > 0 {
		within = " within " + e.Within.String()
	}
	times := "once"
	if e.Limit > 1 {
		times = fmt.Sprintf("%d times", e.Limit)
	}
	return fmt.Sprintf("this very call has been made %s%s already, and the policy allows no more; do something else than repeat it", times, within)
}

func plural(n int64) string {
	if n == 1 {
		return "call"
	}
	return "calls"
}
