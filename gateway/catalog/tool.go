package catalog

import (
	"encoding/json"
	"fmt"

	"sallyport/gateway/wire"
	"sallyport/internal/strictjson"
)

// Tool is one tool as its upstream defines it. It is immutable.
type Tool struct {
	Name, Title string
	Raw         []byte          // the exact bytes of the definition
	Annotations json.RawMessage // nil when absent; the upstream's word, untrusted
	Digest      string          // of the canonical form of Raw, see [Digest]

	// Schema checks the arguments. It is nil if and only if Problem is set.
	Schema *Schema

	// Output checks structured results. It is nil where the definition has no outputSchema, and
	// where Problem is set.
	Output *Schema

	// Bindings says which arguments travel in headers as well. Only the modern protocol
	// knows them; they are nil on a legacy listing.
	Bindings []wire.HeaderBinding

	// Problem says, for the operator, why the tool is neither shown nor called. "" means
	// that there is none.
	Problem string
}

const (
	// Longer names are legal but clients drop the tool silently (MCP tools, "Tool Names").
	maxToolName = 128
	// A definition is kept for as long as the listing is, and sent to models.
	maxDefinition = 512 << 10
)

// definitionKeys are the members of a tool definition that a client reads. A member that only
// a parser that ignores case takes for one of them would show some clients another tool than
// the one that was pinned and decided.
var definitionKeys = map[string]bool{
	"name": true, "title": true, "description": true, "inputSchema": true,
	"outputSchema": true, "annotations": true, "icons": true, "execution": true, "_meta": true,
}

// compileFunc compiles an input schema; listings pass one that remembers.
type compileFunc func(inputSchema []byte) (*Schema, error)

// readTool reads the definition in raw. What is wrong with it ends up in Problem.
func readTool(era wire.Era, name string, raw []byte, compile compileFunc) *Tool {
	t := &Tool{Name: name, Raw: raw, Digest: Digest(raw)}
	if err := t.read(era, compile); err != nil {
		t.Problem = err.Error()
		t.Schema, t.Output, t.Bindings = nil, nil, nil
	}
	return t
}

func (t *Tool) read(era wire.Era, compile compileFunc) error {
	if err := checkName(t.Name); err != nil {
		return err
	}
	if len(t.Raw) > maxDefinition {
		return fmt.Errorf("the definition has %d bytes; the limit is %d", len(t.Raw), maxDefinition)
	}
	members, err := strictjson.Object(t.Raw)
	if err != nil {
		return fmt.Errorf("the definition is not an object")
	}
	if err := CheckSteering(t.Raw); err != nil {
		return err
	}
	var schema, output []byte
	for _, m := range members {
		value := m.Value().Of(t.Raw)
		switch m.Name {
		case "title":
			// A title of another type is display text that nobody decides by.
			t.Title, _ = strictjson.String(value)
		case "annotations":
			t.Annotations = json.RawMessage(value)
		case "inputSchema":
			schema = value
		case "outputSchema":
			output = value
		default:
			if key, clash := imitates(m.Name); clash {
				return fmt.Errorf("member %s would be read as %q by a client that ignores case", quoteName(m.Name), key)
			}
		}
	}
	if schema == nil {
		return fmt.Errorf("inputSchema is missing")
	}
	if err := t.readOutput(output, compile); err != nil {
		return err
	}
	return t.readSchema(era, schema, compile)
}

// readOutput compiles the schema of results. null stands for none: some servers write what they
// do not have.
func (t *Tool) readOutput(schema []byte, compile compileFunc) error {
	if schema == nil || string(schema) == "null" {
		return nil
	}
	if schema[0] != '{' {
		return fmt.Errorf("outputSchema is not an object")
	}
	var err error
	if t.Output, err = compile(schema); err != nil {
		return fmt.Errorf("outputSchema: %w", err)
	}
	return nil
}

func (t *Tool) readSchema(era wire.Era, schema []byte, compile compileFunc) error {
	if schema[0] != '{' {
		return fmt.Errorf("inputSchema is not an object")
	}
	var err error
	if t.Schema, err = compile(schema); err != nil {
		return fmt.Errorf("inputSchema: %w", err)
	}
	if err = t.Schema.distinct(); err != nil {
		return fmt.Errorf("inputSchema: %w", err)
	}
	if era != wire.Modern {
		return nil
	}
	if t.Bindings, err = wire.HeaderBindings(schema); err != nil {
		return fmt.Errorf("inputSchema: x-mcp-header: %w", err)
	}
	return nil
}

func imitates(name string) (key string, clash bool) {
	if definitionKeys[name] {
		return "", false
	}
	fold := strictjson.Fold(name)
	for key := range definitionKeys {
		if strictjson.Fold(key) == fold {
			return key, true
		}
	}
	return "", false
}

// checkName holds a name against the protocol's rule, which clients enforce by dropping the
// tool: 1 to 128 of A-Z a-z 0-9 _ - . (2025-11-25 and later, server/tools, "Tool Names").
func checkName(name string) error {
	if len(name) > maxToolName {
		return fmt.Errorf("the name has %d characters; the limit is %d", len(name), maxToolName)
	}
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-', c == '.':
		default:
			return fmt.Errorf("the name %s has characters outside A-Z a-z 0-9 _ - .", quoteName(name))
		}
	}
	return nil
}
