package wire

import "sallyport/internal/strictjson"

// Members of _meta that the protocol requires of a modern request.
const (
	metaVersion      = "io.modelcontextprotocol/protocolVersion"
	metaCapabilities = "io.modelcontextprotocol/clientCapabilities"
)

// clientKeys are the member names that the protocol gives a meaning in messages of clients, of
// every revision. A name that a lenient parser would take for one of them is refused wherever
// the protocol's own members may stand.
var clientKeys = strictjson.NewKeySet(
	"jsonrpc", "id", "method", "params", "result", "error", "code", "data", "_meta",
	"name", "arguments", "uri", "cursor", "taskId", "task", "ttl", "requestState", "inputResponses",
	"ref", "argument", "value", "context", "type", "level", "notifications",
	"toolsListChanged", "promptsListChanged", "resourcesListChanged", "resourceSubscriptions",
	"requestId", "reason", "progressToken", "progress", "total", "message",
	"protocolVersion", "clientInfo", "capabilities", "clientCapabilities",
	"title", "version", "description", "icons", "websiteUrl", "src", "sizes", "theme",
	"experimental", "extensions", "elicitation", "form", "url", "sampling", "tools", "roots",
	"listChanged", "tasks", "requests", "list", "cancel", "create", "createMessage", "resource",
	"action", "content", "role", "model", "stopReason", "structuredContent", "isError", "input",
	"toolUseId", "text", "blob", "mimeType", "size", "annotations", "audience", "priority", "lastModified",
	"status", "statusMessage", "createdAt", "lastUpdatedAt", "pollInterval",
	metaVersion, metaCapabilities,
	"io.modelcontextprotocol/clientInfo", "io.modelcontextprotocol/logLevel",
	"io.modelcontextprotocol/subscriptionId", "io.modelcontextprotocol/related-task",
	"traceparent", "tracestate", "baggage",
)

// slot numbers a value that Decode looks at; see strictjson.CheckSpans.
type slot int

const (
	atJSONRPC slot = iota
	atID
	atMethod
	atParams
	atResult
	atError
	atMeta
	atMetaVersion
	atMetaCapabilities
	atProgressToken
	atTraceparent
	atName
	atURI
	atTaskID
	atArguments
	atRequestID
	atCursor
	atRequestState
	atInputResponses
	atInitVersion
	atRefType
	atRefName
	atRefURI
	slots
)

// noted is the place of each slot's value in a message; empty where there is none.
type noted [slots]strictjson.Span

// raw returns the value at a slot, or nil.
func (n *noted) raw(body []byte, s slot) []byte {
	if n[s].Empty() {
		return nil
	}
	return n[s].Of(body)
}

type scopes = map[string]*strictjson.Scope

// messageScope guards the names of a client's message at every depth but where they are the
// user's or a vendor's own: below params.arguments, a completion's context.arguments, the
// content of an answer to a server, the data of an error, the values of experimental and
// extensions, and the values of _meta that are not the protocol's.
var messageScope = func() *strictjson.Scope {
	guard := strictjson.NewScope(clientKeys, nil)
	note := func(s slot) *strictjson.Scope { return guard.Capture(int(s)) }
	capabilities := strictjson.NewScope(clientKeys, scopes{"experimental": nil, "extensions": nil})
	meta := strictjson.Only(clientKeys, scopes{
		metaVersion:                          note(atMetaVersion),
		metaCapabilities:                     capabilities.Capture(int(atMetaCapabilities)),
		"io.modelcontextprotocol/clientInfo": guard,
		"progressToken":                      note(atProgressToken),
		"traceparent":                        note(atTraceparent),
	})
	answer := strictjson.NewScope(clientKeys, scopes{"content": nil, "structuredContent": nil, "_meta": strictjson.Only(clientKeys, nil)})
	params := strictjson.NewScope(clientKeys, scopes{
		"_meta":          meta.Capture(int(atMeta)),
		"name":           note(atName),
		"uri":            note(atURI),
		"taskId":         note(atTaskID),
		"arguments":      (*strictjson.Scope)(nil).Capture(int(atArguments)),
		"requestId":      note(atRequestID),
		"cursor":         note(atCursor),
		"requestState":   note(atRequestState),
		"inputResponses": strictjson.Each(answer).Capture(int(atInputResponses)),
		"capabilities":   capabilities,
		"context":        strictjson.NewScope(clientKeys, scopes{"arguments": nil}),
		"ref": strictjson.NewScope(clientKeys, scopes{
			"type": note(atRefType), "name": note(atRefName), "uri": note(atRefURI),
		}),
		"protocolVersion": note(atInitVersion),
	})
	return strictjson.NewScope(clientKeys, scopes{
		"jsonrpc": note(atJSONRPC),
		"id":      note(atID),
		"method":  note(atMethod),
		"params":  params.Capture(int(atParams)),
		"result":  answer.Capture(int(atResult)),
		"error":   strictjson.NewScope(clientKeys, scopes{"data": nil}).Capture(int(atError)),
	})
}()
