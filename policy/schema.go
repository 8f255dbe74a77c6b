package policy

import (
	_ "embed"
	"encoding/json"
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"

	_ "sallyport/policy/builtin" // its functions are known to every compiler of ours
)

//go:embed input.schema.json
var inputSchema []byte

// schemas are the JSON Schema of `input`, by which policies are type-checked.
func schemas() (*ast.SchemaSet, error) {
	var doc any
	if err := json.Unmarshal(inputSchema, &doc); err != nil {
		return nil, fmt.Errorf("read the input schema: %w", err)
	}
	set := ast.NewSchemaSet()
	set.Put(ast.SchemaRootRef, doc)
	return set, nil
}

// denied built-ins reach the network or the environment, make secrets, or answer differently
// each time. The compiler does not know them, so a policy that calls one does not load.
var deniedBuiltins = map[string]bool{
	"http.send": true, "net.lookup_ip_addr": true, "opa.runtime": true, "rand.intn": true, "uuid.rfc4122": true,
	"io.jwt.encode_sign": true, "io.jwt.encode_sign_raw": true, "trace": true,
}

func capabilities() *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion()
	kept := make([]*ast.Builtin, 0, len(c.Builtins))
	for _, b := range c.Builtins {
		if !deniedBuiltins[b.Name] {
			kept = append(kept, b)
		}
	}
	c.Builtins = kept
	c.AllowNet = []string{} // not nil: no host at all, also for $ref in JSON schemas
	return c
}
