package config

// Guards are about what comes back from servers, and about secrets on their way out.
type Guards struct {
	// Looks for secrets, by the rules of gitleaks: in the arguments of what has a label `sink:…`,
	// which are refused with one, and where a policy asks for it. False: nobody looks, and a policy
	// that asks for it refuses.
	Secrets bool `yaml:"secrets" env:"SECRETS" default:"true"`
	// Takes characters out of results that nobody sees or that steer a terminal.
	Hidden bool `yaml:"hidden" env:"HIDDEN" default:"true"`
	// Hosts that links and images in results may lead to: `example.com`, `*.example.com` for all
	// below it, `localhost:8080`. Links to others are made inert.
	LinkHosts []string `yaml:"linkHosts" env:"LINK_HOSTS"`
	// Kinds of content that any tool may return: `text`, `image`, `audio`, `resource` (an embedded
	// one), `resource_link`, `blob`. Others are left out of the result.
	Content []string `yaml:"content" env:"CONTENT" follows:"[text]"`
	// Markers that stand somewhere where no agent should find them, of 8 to 256 bytes. One that turns
	// up is taken out of a result, refused in the arguments of a sink, and a warning in the log.
	// Masked in `config show`.
	Canaries []string `yaml:"canaries" env:"CANARIES"`
	// File with further markers, one in a line.
	CanaryFile string `yaml:"canaryFile" env:"CANARY_FILE" kind:"path"`
}

// Approvals are about calls that a person must agree to.
type Approvals struct {
	// How long a call waits for a person, and then for being made.
	TTL Duration `yaml:"ttl" env:"TTL" default:"15m" min:"1m" max:"24h"`
}

// Item is what is said of the tools, resources or prompts of a server that a pattern names. All
// entries that match apply together.
type Item struct {
	// What it touches, for policies. `source:private` and `source:untrusted` say what comes back;
	// `sink:external` and `sink:internal` say where arguments can be read. Other names are free.
	Labels []string `yaml:"labels"`
	// Kinds of content that it may return, beside those of `guards.content`.
	Content []string `yaml:"content"`
}

// ToolItem is what is said of tools.
type ToolItem struct {
	// What it touches, for policies. `source:private` and `source:untrusted` say what comes back;
	// `sink:external` and `sink:internal` say where arguments can be read. Other names are free.
	Labels []string `yaml:"labels"`
	// Kinds of content that it may return, beside those of `guards.content`.
	Content []string `yaml:"content"`
	// What its arguments must be, by their names, beside what its own schema says.
	Arguments map[string]*Argument `yaml:"arguments"`
}

// Argument is what one argument must be.
type Argument struct {
	// `path`, `url`, `email`, `identifier` or `sql`.
	Kind string `yaml:"kind" required:"yes"`
	// `path`: the directories that it must be below. Relative ones are relative to the file.
	Within []string `yaml:"within"`
	// `url`: hosts, `example.com`, `*.example.com` for all below it, or `*` for every public one.
	Hosts []string `yaml:"hosts"`
	// `url`: schemes. Default: `https`.
	Schemes []string `yaml:"schemes"`
	// `url`: ports, as texts. Default: that of the scheme.
	Ports []string `yaml:"ports"`
	// `url`: it may name a private address.
	Private bool `yaml:"private" default:"false"`
	// `url`: the gateway looks the host up, and wants public addresses only. The server looks it up
	// again; where a program can connect to at all is what its sandbox says.
	Resolve bool `yaml:"resolve" default:"false"`
	// `email`: domains of recipients, as hosts.
	Domains []string `yaml:"domains"`
	// `email`: recipients.
	Addresses []string `yaml:"addresses"`
	// `identifier`: a regular expression (RE2) for the whole of it.
	Pattern string `yaml:"pattern"`
	// Longest value, in bytes. Default: of its kind.
	MaxLen int `yaml:"maxLen" default:"0"`
	// `sql`: the dialect, `postgres`. One statement that only reads.
	Dialect string `yaml:"dialect"`
	// It may be absent.
	Optional bool `yaml:"optional" default:"false"`
}
