package config

// Config is the whole configuration. Made by [Load]; not changed afterwards.
type Config struct {
	// Address that clients connect to, host:port. An address that is not loopback is refused
	// without `tls`, unless `behindTLS` is true: tokens would cross the network in the clear.
	// Port 0 takes any free port; then `publicURL` follows it, and commands such as
	// `token mint` need `publicURL` given.
	Listen string `yaml:"listen" env:"LISTEN" default:"127.0.0.1:8080"`

	// What clients see: scheme and authority, without a path. Tokens are for
	// `<publicURL>/mcp`, and the Host and Origin of requests are held against it. Follows
	// `listen` when not given; must be given when `listen` is every address of the machine.
	PublicURL string `yaml:"publicURL" env:"PUBLIC_URL" follows:"http(s)://<listen>"`

	// Directory of keys and audit log. Made with mode 0700; refused when others can read it.
	// Without a configuration file the default is `$XDG_STATE_HOME/sallyport`, or
	// `~/.local/state/sallyport`.
	State string `yaml:"state" env:"STATE" default:"./state" kind:"path"`

	// Certificate of the gateway itself.
	TLS TLS `yaml:"tls" envPrefix:"TLS_"`

	// Says that something in front of the gateway ends TLS, and that the way from there is
	// private. Lifts the refusal of addresses that are not loopback.
	BehindTLS bool `yaml:"behindTLS" env:"BEHIND_TLS" default:"false"`

	// The operator's listener.
	Admin Admin `yaml:"admin" envPrefix:"ADMIN_"`

	// Directory of Rego policies, their data (JSON, YAML) and their tests (`_test.rego`).
	// Watched: a change is installed when it compiles and its tests pass; otherwise the
	// policies before it serve on. Must be given when there is no configuration file.
	Policies string `yaml:"policies" env:"POLICIES" default:"./policies" kind:"path"`

	// False is record-only: the gateway decides and records and refuses nothing but broken
	// messages and tokens. For trying out a policy.
	Enforce bool `yaml:"enforce" env:"ENFORCE" default:"true"`

	// Tokens.
	Identity Identity `yaml:"identity" envPrefix:"IDENTITY_"`

	// Bounds of one request.
	Limits Limits `yaml:"limits" envPrefix:"LIMITS_"`

	// MCP servers behind the gateway, by name: 1 to 64 letters, digits, `-`, `_` and `.`. Each
	// is reached at `<publicURL>/mcp/<name>`; a single one also at `<publicURL>/mcp`. The
	// shape is the one MCP clients use, so an existing `.mcp.json` can be the configuration.
	Servers map[string]*Server `yaml:"mcpServers"`

	// URL of the one MCP server of a gateway without `mcpServers`; its name is `upstream`.
	Upstream string `yaml:"-" env:"UPSTREAM"`

	source source
	notes  []string
}

// TLS is the certificate of the gateway. Read again when the files change.
type TLS struct {
	// File with the certificate chain, PEM.
	Cert string `yaml:"cert" env:"CERT" kind:"path"`
	// File with its private key, PEM.
	Key string `yaml:"key" env:"KEY" kind:"path"`
}

// Admin is the operator's listener.
type Admin struct {
	// Address of `/healthz` and `/readyz`, host:port, without TLS and without
	// authentication: `/readyz` says what is wrong to whoever asks, so keep it private.
	// `off` for none.
	Listen string `yaml:"listen" env:"LISTEN" default:"127.0.0.1:8081"`
}

// Identity is about tokens.
type Identity struct {
	// Life of a token for which none is asked. No setting allows more than 15 minutes.
	TokenTTL Duration `yaml:"tokenTTL" env:"TOKEN_TTL" default:"5m" min:"1s" max:"15m"`
}

// Limits bound one request.
type Limits struct {
	// Size of a request's body.
	RequestBytes Size `yaml:"requestBytes" env:"REQUEST_BYTES" default:"4MiB" min:"1KiB" max:"256MiB"`
	// Size of a server's answer, and of one event of a stream.
	ResultBytes Size `yaml:"resultBytes" env:"RESULT_BYTES" default:"16MiB" min:"1KiB" max:"256MiB"`
	// Levels of nesting in JSON.
	Depth int `yaml:"depth" env:"DEPTH" default:"64" min:"8" max:"512"`
	// How long a server may be silent: before it answers, and between two pieces of an
	// answer. Events reset it; streams that only listen have no such limit.
	CallTimeout Duration `yaml:"callTimeout" env:"CALL_TIMEOUT" default:"60s" min:"1s" max:"1h"`
	// How long a client may take to send a request's body.
	BodyTimeout Duration `yaml:"bodyTimeout" env:"BODY_TIMEOUT" default:"30s" min:"1s" max:"10m"`
}

// Server is one MCP server behind the gateway.
type Server struct {
	// `http` (streamable HTTP; `streamable-http` is the same).
	Type string `yaml:"type" default:"http"`
	// The server's MCP endpoint, http or https, without user and password.
	URL string `yaml:"url" required:"yes"`
	// Headers of every request to this server, such as the gateway's own credential for it.
	// A client's headers never get there. Values are masked in `config show`.
	Headers map[string]string `yaml:"headers" secret:"yes"`
	// How the server is told from an impostor, and the gateway from one. For https only.
	TLS ServerTLS `yaml:"tls"`
	// A credential that is kept outside the configuration.
	Credential Credential `yaml:"credential"`
}

// ServerTLS is used towards one server.
type ServerTLS struct {
	// File with the certificates that may sign the server's, PEM. Default: the system's.
	CA string `yaml:"ca" kind:"path"`
	// File with the gateway's client certificate, PEM, so that the server can accept the
	// gateway alone.
	Cert string `yaml:"cert" kind:"path"`
	// File with its private key, PEM.
	Key string `yaml:"key" kind:"path"`
}

// Credential is a secret in a file, read again when the file changes.
type Credential struct {
	// `file`.
	Type string `yaml:"type"`
	// File that holds the secret and nothing else; white space around it does not count.
	Path string `yaml:"path" kind:"path"`
	// Header that carries it.
	Header string `yaml:"header" default:"Authorization"`
	// What stands before the secret in the header's value.
	Prefix string `yaml:"prefix" default:"Bearer "`
}

// later are keys of the design that this version does not have. A key that is taken and not
// obeyed would be worse than one refused: it may be what keeps a door shut.
var later = map[string]string{
	"tls.clientCA":              "client certificates are not in this version",
	"policyKey":                 "signed policy bundles are not in this version",
	"identity.requireProof":     "proof of possession is not in this version",
	"identity.local":            "the local socket is not in this version",
	"identity.federation":       "outside identities are not in this version",
	"limits.concurrentPerGrant": "grants are not in this version",
	"pins":                      "pins are not in this version",
	"guards":                    "guards are not in this version",
	"mcpServers.*.command":      "servers that are commands (stdio) are not in this version; run the server with an HTTP transport and give its url",
	"mcpServers.*.args":         "servers that are commands (stdio) are not in this version",
	"mcpServers.*.env":          "servers that are commands (stdio) are not in this version",
	"mcpServers.*.instance":     "servers that are commands (stdio) are not in this version",
	"mcpServers.*.sandbox":      "servers that are commands (stdio) are not in this version",
	"mcpServers.*.tools":        "labels of tools are not in this version; a policy's data files can hold them",
	"mcpServers.*.resources":    "labels of resources are not in this version; a policy's data files can hold them",
	"mcpServers.*.headersHelper": "a helper runs at the client; the gateway's own credential for this server goes into headers, " +
		"or into a file that credential names",
	"mcpServers.*.oauth": "an OAuth login runs at the client; the gateway's own credential for this server goes into headers, " +
		"or into a file that credential names",
}
