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
	State string `yaml:"state" env:"STATE" default:"./state" kind:"place"`

	// Certificate of the gateway itself.
	TLS TLS `yaml:"tls" envPrefix:"TLS_"`

	// Says that something in front of the gateway ends TLS, and that the way from there is
	// private. Lifts the refusal of addresses that are not loopback.
	BehindTLS bool `yaml:"behindTLS" env:"BEHIND_TLS" default:"false"`

	// The operator's listener.
	Admin Admin `yaml:"admin" envPrefix:"ADMIN_"`

	// Directory of Rego policies, their data (JSON, YAML) and their tests (`_test.yaml`,
	// `_test.rego`); or a bundle of these (`.tar.gz`, made by `sallyport policy build`); or the
	// `https://` URL of one. Watched, a URL asked every `policyPoll`: a change is installed when it
	// compiles and its tests pass; otherwise the policies before it serve on. Must be given when
	// there is no configuration file.
	Policies string `yaml:"policies" env:"POLICIES" default:"./policies" kind:"path"`

	// File with the public keys (PEM, as `sallyport policy keygen` writes them) of those who sign
	// policies. With it, only what one of them has signed is installed: no plain directory, nothing
	// changed, nothing older than what was installed before. Which file needs a restart to change;
	// what is in it is followed.
	PolicyKey string `yaml:"policyKey" env:"POLICY_KEY" kind:"path"`

	// File with the certificates that may sign that of the server of a URL in `policies`, PEM; else
	// those of the system may.
	PolicyCA string `yaml:"policyCA" env:"POLICY_CA" kind:"path"`

	// How often a URL in `policies` is asked for a newer bundle.
	PolicyPoll Duration `yaml:"policyPoll" env:"POLICY_POLL" default:"30s" min:"1s" max:"24h"`

	// False is record-only: the gateway decides and records and refuses nothing but broken
	// messages and tokens, and what a grant or `limits` do not cover. For trying out a policy.
	Enforce bool `yaml:"enforce" env:"ENFORCE" default:"true"`

	// Directory of a second policy that decides beside the first and changes nothing: where it decides
	// otherwise, the record has a line of phase `shadow`. Watched like `policies`; one that does not load
	// stops nothing.
	Shadow string `yaml:"shadow" env:"SHADOW" kind:"path"`

	// Tokens, and who may have one.
	Identity Identity `yaml:"identity" envPrefix:"IDENTITY_"`

	// Bounds of one request.
	Limits Limits `yaml:"limits" envPrefix:"LIMITS_"`

	// Which definitions of tools, prompts and resource templates are served. `firstUse`: each as it
	// was seen first; one that is another later is off until somebody has approved it. `required`:
	// none that nobody has reviewed. See `sallyport tools`.
	Pins string `yaml:"pins" env:"PINS" default:"firstUse"`

	// What comes back from servers, and secrets on their way out.
	Guards Guards `yaml:"guards" envPrefix:"GUARDS_"`

	// What the record keeps besides.
	Audit Audit `yaml:"audit" envPrefix:"AUDIT_"`

	// Calls that a person must agree to.
	Approvals Approvals `yaml:"approvals" envPrefix:"APPROVALS_"`

	// MCP servers behind the gateway, by name: 1 to 32 of `a-z`, `0-9` and `-`, no two of which
	// look alike. Each is reached at `<publicURL>/mcp/<name>`, and all together at
	// `<publicURL>/mcp`, where their tools are `<name>__<tool>`. The shape is the one MCP clients
	// use, so an existing `.mcp.json` can be the configuration.
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
	// File with the certificates that may sign those of clients, PEM. With it, a client may show a
	// certificate, to which its tokens can be bound (RFC 8705).
	ClientCA string `yaml:"clientCA" env:"CLIENT_CA" kind:"path"`
}

// Admin is the operator's listener.
type Admin struct {
	// Address of `/healthz`, `/readyz` and `/metrics`, host:port, without TLS and without
	// authentication: `/readyz` says what is wrong to whoever asks, so keep it private.
	// `off` for none.
	Listen string `yaml:"listen" env:"LISTEN" default:"127.0.0.1:8081"`
	// A second place for the socket of commands, outside the state directory, which no other user
	// can enter: for agents that run as a user of their own. Whoever connects is known by the
	// kernel, and may do what `identity.local` says.
	Socket string `yaml:"socket" env:"SOCKET" kind:"place"`
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
	// answer. An answer, or an event, may take as long in all and a second more for each KiB.
	// Events reset it; streams that only listen have no such limit.
	CallTimeout Duration `yaml:"callTimeout" env:"CALL_TIMEOUT" default:"60s" min:"1s" max:"1h"`
	// How long a client may take to send a request's body.
	BodyTimeout Duration `yaml:"bodyTimeout" env:"BODY_TIMEOUT" default:"30s" min:"1s" max:"10m"`
	// Calls under one grant at the same time; more are refused (`limited`).
	ConcurrentPerGrant int `yaml:"concurrentPerGrant" env:"CONCURRENT_PER_GRANT" default:"16" min:"1" max:"65536"`
}

// later are keys of clients that a gateway cannot obey. A key that is taken and not obeyed would be
// worse than one refused: it may be what keeps a door shut.
var later = map[string]string{
	"servers":                    "this is the shape of another client's file; the key here is mcpServers",
	"inputs":                     "nobody is here to be asked; put a secret into envFrom or credential",
	"mcpServers.*.headersHelper": "a helper runs at the client; the gateway's own credential for this server goes into credential (type: exec runs a command that prints one). In a file that `sallyport adopt` has written this is the gateway itself: serve sallyport.yaml",
	"mcpServers.*.oauth":         "an OAuth login runs at the client; the gateway's own credential for this server goes into credential",
	"mcpServers.*.envFile":       "a file of variables is not read; name each in env or envFrom",
	"mcpServers.*.disabled":      "take the server out of the file instead",
	"mcpServers.*.autoApprove":   clientsRule,
	"mcpServers.*.alwaysAllow":   clientsRule,
	"mcpServers.*.trust":         clientsRule,
	"mcpServers.*.disabledTools": policysRule,
	"mcpServers.*.enabledTools":  policysRule,
	"mcpServers.*.includeTools":  policysRule,
	"mcpServers.*.excludeTools":  policysRule,
}

const (
	clientsRule = "what needs no approval is said at the client, and what is allowed by policies; take this key out"
	policysRule = "which tools may be called is what policies say (input.tool.name); take this key out"
)

// clients are keys that tell a client how to show a server. They are passed over, with a note.
var clients = map[string]bool{
	"mcpServers.*.alwaysLoad":  true,
	"mcpServers.*.description": true,
	"mcpServers.*.name":        true,
	"mcpServers.*.icon":        true,
}
