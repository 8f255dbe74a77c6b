package config

// Credential is a secret of the gateway's own, kept outside the configuration. It is read when it
// is used, sent to its server and nobody else, and taken out of what that server answers.
type Credential struct {
	// `file`; `env`, a variable of the gateway's own environment, which other processes of its
	// user can read as well; `exec`, what a command prints; `clientCredentials`, an OAuth client
	// of its own; `tokenExchange`, an OAuth token for whoever calls (RFC 8693).
	Type string `yaml:"type" required:"yes"`

	// `file`: holds the secret and nothing else, in one line. Read again when it changes.
	Path string `yaml:"path" kind:"path"`
	// `file`: takes one that other users can read, as some orchestrators make them.
	AllowReadable bool `yaml:"allowReadable" default:"false"`
	// `env`: the variable.
	Name string `yaml:"name"`

	// `exec`: the command and its arguments, without a shell. It prints the secret, or
	// `{"token": …, "expires_in": …}`.
	Command []string `yaml:"command"`
	// `exec`: its environment, beside `PATH`, `HOME`, `USER`, `LANG` and `TMPDIR`. Values are
	// masked in `config show`.
	Env map[string]string `yaml:"env" secret:"yes"`
	// `exec`: how long the command may take.
	Timeout Duration `yaml:"timeout" default:"10s" min:"100ms" max:"5m"`
	// `exec`: how long a secret that says nothing of its end is used.
	MaxAge Duration `yaml:"maxAge" default:"5m" min:"1s" max:"24h"`
	// `exec`: one secret for each principal, whom `SALLYPORT_SUBJECT` and `SALLYPORT_ISSUER`
	// name to the command.
	PerPrincipal bool `yaml:"perPrincipal" default:"false"`

	// `clientCredentials`, `tokenExchange`: the token endpoint, https but on loopback.
	TokenURL string `yaml:"tokenURL"`
	// The gateway's client at it.
	ClientID string `yaml:"clientID"`
	// How the client proves itself: `secretBasic`, `secretPost` or `privateKeyJWT`.
	ClientAuth string `yaml:"clientAuth" default:"secretBasic"`
	// The client's secret.
	ClientSecret ClientSecret `yaml:"clientSecret"`
	// `privateKeyJWT`: file with the private key, PEM, which others may not read.
	Key string `yaml:"key" kind:"path"`
	// `privateKeyJWT`: the key's id.
	KeyID string `yaml:"keyID"`
	// What is asked for.
	Scope string `yaml:"scope"`
	// For whom, as a URI (RFC 8707).
	Resource string `yaml:"resource"`
	// For whom, as the token endpoint names it (RFC 8693).
	Audience string `yaml:"audience"`
	// For whom the gateway signs what it shows the token endpoint. Default: `tokenURL`; some
	// endpoints want the URL of their issuer.
	SignedFor string `yaml:"signedFor"`
	// File with the certificates that may sign the token endpoint's, PEM. Default: the system's.
	CA string `yaml:"ca" kind:"path"`

	// Header that carries it. Not in envFrom.
	Header string `yaml:"header" default:"Authorization"`
	// What stands before the secret in the header's value. Not in envFrom.
	Prefix string `yaml:"prefix" default:"Bearer "`
}

// ClientSecret is where the secret of an OAuth client is.
type ClientSecret struct {
	// `file`, `env` or `exec`, as above.
	Type string `yaml:"type"`
	// `file`: holds the secret.
	Path string `yaml:"path" kind:"path"`
	// `file`: takes one that other users can read.
	AllowReadable bool `yaml:"allowReadable" default:"false"`
	// `env`: the variable.
	Name string `yaml:"name"`
	// `exec`: the command and its arguments.
	Command []string `yaml:"command"`
}

// Types of credentials, and of how an OAuth client proves itself.
const (
	fromFile     = "file"
	fromEnv      = "env"
	fromExec     = "exec"
	fromClient   = "clientCredentials"
	fromExchange = "tokenExchange"

	secretBasic   = "secretBasic"
	secretPost    = "secretPost"
	privateKeyJWT = "privateKeyJWT"
)

var (
	keysOfOAuth = []string{"tokenURL", "clientID", "clientAuth", "clientSecret", "key", "keyID", "scope", "resource", "audience", "signedFor", "ca"}
	// keysOfCredential are the keys of each type, beside type, header and prefix.
	keysOfCredential = map[string][]string{
		fromFile:     {"path", "allowReadable"},
		fromEnv:      {"name"},
		fromExec:     {"command", "env", "timeout", "maxAge", "perPrincipal"},
		fromClient:   keysOfOAuth,
		fromExchange: keysOfOAuth,
	}
)
