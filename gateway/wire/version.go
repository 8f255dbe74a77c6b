package wire

import (
	"slices"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
)

// Protocol revisions. The gateway speaks all but the first, whose transport it does not have.
const (
	V20241105 = mcp.ProtocolVersion20241105
	V20250326 = mcp.ProtocolVersion20250326
	V20250618 = mcp.ProtocolVersion20250618
	V20251125 = mcp.ProtocolVersion20251125
	V20260728 = mcp.ProtocolVersion20260728
)

// Supported lists the revisions that a request may name, newest first.
func Supported() []string { return []string{V20260728, V20251125, V20250618, V20250326} }

// Era tells the stateless protocol (2026-07-28) from the one with sessions before it. It is
// decided for each request.
type Era uint8

// The eras. Legacy is the zero value: it claims no more than a bare JSON-RPC message does.
const (
	Legacy Era = iota
	Modern
)

func (e Era) String() string {
	if e == Modern {
		return "modern"
	}
	return "legacy"
}

// eraOf allows by list, not by order: a revision nobody here has read is not supported.
func eraOf(version string) (Era, bool) {
	switch version {
	case V20260728:
		return Modern, true
	case V20251125, V20250618, V20250326:
		return Legacy, true
	}
	return Legacy, false
}

// Header names of the protocol, in Go's canonical form.
const (
	HeaderVersion     = mcp.HeaderProtocolVersion
	HeaderSession     = mcp.HeaderSessionID
	HeaderLastEventID = "Last-Event-Id"
	HeaderMethod      = mcp.HeaderMethod
	HeaderName        = mcp.HeaderName
	HeaderParamPrefix = mcp.HeaderParamPrefix
)

// Methods that the gateway treats by name.
const (
	MethodInitialize   = "initialize"
	MethodDiscover     = "server/discover"
	MethodPing         = "ping"
	MethodToolsList    = "tools/list"
	MethodToolsCall    = "tools/call"
	MethodPromptsList  = "prompts/list"
	MethodPromptsGet   = "prompts/get"
	MethodResList      = "resources/list"
	MethodResTemplates = "resources/templates/list"
	MethodResRead      = "resources/read"
	MethodResSubscribe = "resources/subscribe"
	MethodResUnsub     = "resources/unsubscribe"
	MethodComplete     = "completion/complete"
	MethodSetLevel     = "logging/setLevel"
	MethodListen       = "subscriptions/listen"
	MethodTasksGet     = "tasks/get"
	MethodTasksResult  = "tasks/result"
	MethodTasksList    = "tasks/list"
	MethodTasksCancel  = "tasks/cancel"
	MethodTasksUpdate  = "tasks/update"

	NotifyInitialized  = "notifications/initialized"
	NotifyCancelled    = "notifications/cancelled"
	NotifyProgress     = "notifications/progress"
	NotifyRoots        = "notifications/roots/list_changed"
	NotifyTasksStatus  = "notifications/tasks/status"
	NotifyMessage      = "notifications/message" // a line of a server's log
	NotifyToolsChanged = "notifications/tools/list_changed"
	NotifyAcknowledged = "notifications/subscriptions/acknowledged"

	AskSampling    = "sampling/createMessage"
	AskElicitation = "elicitation/create"
	AskRoots       = "roots/list"
)

// clientMethods is the allow-list of what a client may send, per era. A method outside it is
// refused with -32601, since nothing here knows how to decide it.
var clientMethods = map[Era]map[string]bool{
	Legacy: set(MethodInitialize, MethodPing, MethodToolsList, MethodToolsCall, MethodPromptsList,
		MethodPromptsGet, MethodResList, MethodResTemplates, MethodResRead, MethodResSubscribe,
		MethodResUnsub, MethodComplete, MethodSetLevel, MethodTasksGet, MethodTasksResult,
		MethodTasksList, MethodTasksCancel, NotifyInitialized, NotifyCancelled, NotifyProgress,
		NotifyRoots, NotifyTasksStatus),
	// Cancellation by notification is not used over HTTP, where closing the stream does it, but
	// clients that share code with stdio send it.
	Modern: set(MethodDiscover, MethodToolsList, MethodToolsCall, MethodPromptsList,
		MethodPromptsGet, MethodResList, MethodResTemplates, MethodResRead, MethodComplete,
		MethodListen, MethodTasksGet, MethodTasksUpdate, MethodTasksCancel, NotifyCancelled),
}

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}

// methodNames spares the decoder a copy of every method name it knows.
var methodNames = func() map[string]string {
	m := map[string]string{}
	for _, methods := range clientMethods {
		for name := range methods {
			m[name] = name
		}
	}
	return m
}()

// Methods lists the methods and notifications that a client of the era may send, sorted.
func Methods(era Era) []string {
	var names []string
	for name := range clientMethods[era] {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// MethodKnown reports whether the era's allow-list has the method for this kind of message: a
// request's method sent without an id would be executed and answered to nobody. A client's
// response, which only the older era has, names none and passes.
func (m *Message) MethodKnown() bool {
	if m.Kind == Response {
		return m.Era == Legacy
	}
	if notification := strings.HasPrefix(m.Method, "notifications/"); notification != (m.Kind == Notification) {
		return false
	}
	return m.Kind != 0 && clientMethods[m.Era][m.Method]
}
