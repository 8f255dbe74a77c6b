package wire

import "github.com/mark3labs/mcp-go/mcp"

// Protocol revisions that the gateway speaks.
const (
	V20250326 = "2025-03-26"
	V20250618 = "2025-06-18"
	V20251125 = "2025-11-25"
	V20260728 = "2026-07-28"
)

// Supported lists the revisions, newest first.
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
	headerParamPrefix = mcp.HeaderParamPrefix
)

const (
	metaVersion      = "io.modelcontextprotocol/protocolVersion"
	metaCapabilities = "io.modelcontextprotocol/clientCapabilities"
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
	NotifyToolsChanged = "notifications/tools/list_changed"
	NotifyAcknowledged = "notifications/subscriptions/acknowledged"
	AskSampling        = "sampling/createMessage"
	AskElicitation     = "elicitation/create"
	AskRoots           = "roots/list"
)

// clientMethods is the allow-list of what a client may send, per era. A method outside it is
// refused with -32601, since nothing here knows how to decide it.
var clientMethods = map[Era]map[string]bool{
	Legacy: set(MethodInitialize, MethodPing, MethodToolsList, MethodToolsCall, MethodPromptsList,
		MethodPromptsGet, MethodResList, MethodResTemplates, MethodResRead, MethodResSubscribe,
		MethodResUnsub, MethodComplete, MethodSetLevel, MethodTasksGet, MethodTasksResult,
		MethodTasksList, MethodTasksCancel, NotifyInitialized, NotifyCancelled, NotifyProgress,
		NotifyRoots, NotifyTasksStatus,
		// A client of the newer era asks this first and falls back on the server's own refusal.
		MethodDiscover),
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
