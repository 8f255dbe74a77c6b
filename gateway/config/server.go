package config

// Server is one MCP server behind the gateway: a program that it starts, or a URL.
type Server struct {
	// `stdio`, a program that speaks MCP on its standard input and output; or `http`
	// (streamable HTTP; `streamable-http` is the same).
	Type string `yaml:"type" follows:"stdio where there is a command, else http"`

	// The program of a stdio server: a path, or a name that is found in the gateway's own PATH
	// when the configuration is loaded.
	Command string `yaml:"command"`
	// Its arguments. A relative path among them is relative to `cwd`, as the program sees it.
	Args []string `yaml:"args"`
	// Its environment, beside `PATH`, `HOME`, `TMPDIR` and `LANG`; nothing of the gateway's own
	// environment is passed on. Values are masked in `config show`.
	Env map[string]string `yaml:"env" secret:"yes"`
	// Variables of its environment whose values are credentials, read when the program starts.
	EnvFrom map[string]*Credential `yaml:"envFrom"`
	// Its working directory. By default its private home; the directory of the configuration
	// file where one of `args` is a relative path that exists there.
	Cwd string `yaml:"cwd" kind:"place"`
	// Who shares a process: `grant` (callers of one grant), `principal` (one subject and
	// client), or `shared` (everybody: only for servers that keep nothing of their callers).
	Instance string `yaml:"instance" default:"grant"`
	// What the program may do.
	Sandbox Sandbox `yaml:"sandbox"`
	// How long the program may take until it answers for the first time. A package runner that
	// fetches its package needs longer than one that has it: then the default is 2m.
	StartTimeout Duration `yaml:"startTimeout" default:"30s" min:"1s" max:"10m"`
	// A process without callers ends after this long.
	Idle Duration `yaml:"idle" default:"5m" min:"1s" max:"24h"`
	// Processes of this server at the same time.
	MaxProcesses int `yaml:"maxProcesses" default:"64" min:"1" max:"4096"`

	// The MCP endpoint of an http server, http or https, without user and password.
	URL string `yaml:"url"`
	// Headers of every request to this server. A client's headers never get there. Values are
	// masked in `config show`.
	Headers map[string]string `yaml:"headers" secret:"yes"`
	// How the server is told from an impostor, and the gateway from one. For https only.
	TLS ServerTLS `yaml:"tls"`
	// The gateway's own credential for this server, kept outside the configuration.
	Credential Credential `yaml:"credential"`

	// Milliseconds that a call may take, as Claude Code writes it. Here it is `limits.callTimeout`
	// of this one server.
	Timeout int `yaml:"timeout" min:"0" max:"3600000" default:"0"`

	// What all that the server has touches, as in `tools.*.labels`.
	Labels []string `yaml:"labels" json:"-"`
	// What is said of its tools, by patterns on their own names; `*` stands for any characters.
	Tools map[string]*ToolItem `yaml:"tools" json:"-"`
	// What is said of its resources, by patterns on their URIs. Where anything is, a URI that could be
	// read as another one is refused.
	Resources map[string]*Item `yaml:"resources" json:"-"`
	// What is said of its prompts, by patterns on their own names.
	Prompts map[string]*Item `yaml:"prompts" json:"-"`

	implied implied // what the configuration does not say and the server needs all the same
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

// Sandbox is what the program of a stdio server may do. A word alone is its type.
type Sandbox struct {
	// `process`: namespaces, Landlock and seccomp; where the machine lacks one of them the
	// server does not start. `container`: podman or docker, for machines that have no sandbox of
	// ours; without any network. `none`: the program has all rights of the gateway, its keys and its record among
	// them; every start is a warning in the log. The word alone may stand for the whole, as in
	// `sandbox: none`.
	Type string `yaml:"type" default:"process"`
	// Files and directories that it may read and execute, beside the system's programs and
	// libraries. Where there is no `sandbox` at all: those that exist among `args`, and `cwd`.
	Read []string `yaml:"read" kind:"place"`
	// Files and directories that it may read and write.
	Write []string `yaml:"write" kind:"place"`
	// Where it may connect to, as `host:port`, `*.host:port` or `address:port`, through the
	// gateway's proxy. Without any it has no network.
	Egress []string `yaml:"egress"`
	// What a package runner (npx, bunx, uvx, pipx) needs. `packages`: a cache directory of the
	// server's own that it may write, `<state>/cache/<name>`, and its registry as egress; or
	// `none`. Where there is no `sandbox` at all and the command is a package runner: `packages`.
	Profile string `yaml:"profile" default:"none"`
	// Memory of all its processes together.
	Memory Size `yaml:"memory" default:"1GiB" min:"16MiB" max:"1024GiB"`
	// Processes and threads.
	Processes int `yaml:"processes" default:"128" min:"1" max:"32768"`
	// Open files of one process.
	Files int `yaml:"files" default:"1024" min:"16" max:"1048576"`
	// Processor time of one process; at its end the process is killed.
	CPUTime Duration `yaml:"cpuTime" default:"1h" min:"1s" max:"720h"`
	// Size of its private `/tmp` and home together.
	Tmp Size `yaml:"tmp" default:"256MiB" min:"1MiB" max:"64GiB"`
	// Size of one file that it writes.
	FileSize Size `yaml:"fileSize" default:"1GiB" min:"1MiB" max:"1024GiB"`
	// Image of a container. It has the command in it, and must be on this machine already.
	Image string `yaml:"image"`
	// Program that runs containers: `podman` or `docker`. Default: the one that is installed,
	// podman first.
	Runtime string `yaml:"runtime"`
}

// UnmarshalText reads the word that may stand for the whole sandbox.
func (s *Sandbox) UnmarshalText(text []byte) error {
	s.Type = string(text)
	return nil
}

// Words of the keys above.
const (
	typeStdio = "stdio"
	typeHTTP  = "http"

	sandboxProcess   = "process"
	sandboxContainer = "container"
	sandboxNone      = "none"

	profilePackages = "packages"
	profileNone     = "none"
)
