package gateway

import (
	"errors"
	"fmt"
	"net/http"

	"sallyport/gateway/wire"
)

// Code is one of the refusals of the contract. The zero Code is the catch-all refusal.
type Code uint8

// The refusals, in the order of the contract's table.
const (
	CodeInternal Code = iota
	CodeUnauthenticated
	CodeForbiddenOrigin
	CodeWrongHost
	CodeMalformed
	CodeHeaderMismatch
	CodeUnsupportedVersion
	CodeWrongMethod
	CodeWrongType
	CodeUnknownServer
	CodeUnknownSession
	CodeUnknownMethod
	CodeUnknownTool
	CodeInvalidParams
	CodeInvalidInput
	CodeDenied
	CodeApprovalRequired
	CodeLimited
	CodeTooLarge
	CodeUnavailable
	CodeTimeout
	CodeInvalidOutput
	CodeUnaudited
	CodeStale
)

// rpcCancelled answers a request that its own client has cancelled; nobody waits for it.
const rpcCancelled = 499

// row is how a code looks from outside: HTTP status and JSON-RPC code. asResult says that a
// refused tool call is answered with a result whose text reaches the model.
type row struct {
	name     string
	http     int
	rpc      int
	asResult bool
}

var table = [...]row{
	CodeInternal:           {"internal", http.StatusInternalServerError, 500, false},
	CodeUnauthenticated:    {"unauthenticated", http.StatusUnauthorized, 0, false},
	CodeForbiddenOrigin:    {"forbidden_origin", http.StatusForbidden, 0, false},
	CodeWrongHost:          {"wrong_host", http.StatusMisdirectedRequest, 0, false},
	CodeMalformed:          {"malformed", http.StatusBadRequest, wire.RPCInvalidRequest, false},
	CodeHeaderMismatch:     {"header_mismatch", http.StatusBadRequest, wire.RPCHeaderMismatch, false},
	CodeUnsupportedVersion: {"unsupported_version", http.StatusBadRequest, wire.RPCVersion, false},
	CodeWrongMethod:        {"wrong_method", http.StatusMethodNotAllowed, 0, false},
	CodeWrongType:          {"wrong_type", http.StatusUnsupportedMediaType, 0, false},
	CodeUnknownServer:      {"unknown_server", http.StatusNotFound, 404, false},
	CodeUnknownSession:     {"unknown_session", http.StatusNotFound, 404, false},
	CodeUnknownMethod:      {"unknown_method", http.StatusOK, wire.RPCUnknownMethod, false},
	CodeUnknownTool:        {"unknown_tool", http.StatusOK, wire.RPCInvalidParams, false},
	CodeInvalidParams:      {"malformed", http.StatusOK, wire.RPCInvalidParams, false},
	CodeInvalidInput:       {"invalid_input", http.StatusOK, wire.RPCInvalidParams, true},
	CodeDenied:             {"denied", http.StatusOK, 403, true},
	CodeApprovalRequired:   {"approval_required", http.StatusOK, 403, true},
	CodeLimited:            {"limited", http.StatusOK, 429, true},
	CodeTooLarge:           {"too_large", http.StatusRequestEntityTooLarge, 413, false},
	CodeUnavailable:        {"unavailable", http.StatusOK, 502, false},
	CodeTimeout:            {"timeout", http.StatusOK, 504, false},
	CodeInvalidOutput:      {"invalid_output", http.StatusOK, 502, true},
	CodeUnaudited:          {"unaudited", http.StatusServiceUnavailable, 503, false},
	CodeStale:              {"stale", http.StatusServiceUnavailable, 503, false},
}

// String is the code's name in the record and in logs.
func (c Code) String() string { return table[c].name }

// Error is a refusal: a code, words for the client, and the private reason. Only respond.go
// turns it into bytes.
type Error struct {
	Code   Code
	Public string // what the client reads; chosen, never an inner error's text by accident
	Err    error  // for the operator

	rpc  int    // overrides the table's JSON-RPC code
	id   []byte // of the request, where it was readable
	data []byte
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %v", e.Code, e.Err)
	}
	return e.Code.String() + ": " + e.Public
}

// Unwrap returns the private reason.
func (e *Error) Unwrap() error { return e.Err }

func refuse(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Public: fmt.Sprintf(format, args...)}
}

// asError makes any error a refusal; what is not one is internal and says nothing.
func asError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Code: CodeInternal, Public: "internal error", Err: err}
}

// upstreamError maps what went wrong with an upstream to what the client may know.
func upstreamError(server string, err error) *Error {
	switch {
	case errors.Is(err, ErrNoCredential):
		return &Error{Code: CodeUnavailable, Public: fmt.Sprintf("the gateway could not get its own credential for the server %q, so nothing was sent; the gateway's operator sees why in its log", server), Err: err}
	case errors.Is(err, ErrTimeout):
		return &Error{Code: CodeTimeout, Public: fmt.Sprintf("the server %q did not answer in time", server), Err: err}
	case errors.Is(err, ErrTooLarge):
		return &Error{Code: CodeInvalidOutput, Public: fmt.Sprintf("the answer of the server %q was over the size limit", server), Err: err}
	case errors.Is(err, ErrGarbage):
		return &Error{Code: CodeUnavailable, Public: fmt.Sprintf("the server %q sent an answer that is not valid", server), Err: err}
	case errors.Is(err, ErrUnreachable):
		return &Error{Code: CodeUnavailable, Public: fmt.Sprintf("the server %q cannot be reached", server), Err: err}
	default:
		return &Error{Code: CodeUnavailable, Public: fmt.Sprintf("the server %q failed", server), Err: err}
	}
}

func wireError(e *wire.Error) *Error {
	code := CodeMalformed
	switch {
	case e.Code == wire.HeaderMismatch:
		code = CodeHeaderMismatch
	case e.Code == wire.UnsupportedVersion:
		code = CodeUnsupportedVersion
	}
	return &Error{Code: code, Public: e.Message, rpc: e.RPC, id: e.ID, data: e.Data}
}
