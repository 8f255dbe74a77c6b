package config

// Identity is about tokens, and about who may have one.
type Identity struct {
	// Life of a token for which none is asked. No setting allows more than 15 minutes.
	TokenTTL Duration `yaml:"tokenTTL" env:"TOKEN_TTL" default:"5m" min:"1s" max:"15m"`
	// True takes only tokens that are bound to a key whose possession the request proves (DPoP,
	// or a client certificate). What `run` and `connect` hold always is.
	RequireProof bool `yaml:"requireProof" env:"REQUIRE_PROOF" default:"false"`
	// Roles for which `requireProof` holds in any case.
	RequireProofFor []string `yaml:"requireProofFor" env:"REQUIRE_PROOF_FOR"`
	// Users of this machine, and what each may ask for at the socket, where the kernel says who
	// asks. Without any, the user that runs the gateway is the operator and may ask for every
	// role; nobody else may ask for anything.
	Local []*Local `yaml:"local"`
	// Identities of others that can be exchanged for a token of this gateway, at `/oauth/token`.
	// The first rule that fits a token's issuer and audience, and what it requires, decides.
	Federation []*Federation `yaml:"federation"`
}

// Local is a user of this machine.
type Local struct {
	// Name or number of the user.
	User string `yaml:"user" required:"yes"`
	// Roles that the user's grants may carry.
	Roles []string `yaml:"roles"`
	// An operator may ask for every role and for others, and may see and end all grants.
	Operator bool `yaml:"operator" default:"false"`

	uid uint32 // of User; set by check
}

// Federation says which tokens of one issuer are taken, and what they are worth here.
type Federation struct {
	// Name of the rule, in the record and in messages.
	Name string `yaml:"name" required:"yes"`
	// `oidc`, an OpenID Connect issuer, as GitHub Actions, Kubernetes and any identity provider
	// are; `spiffe`, JWT-SVIDs of a trust domain; `private_key_jwt`, a client with a key of its
	// own (RFC 7523).
	Kind string `yaml:"kind" default:"oidc"`
	// The token's `iss`, exactly.
	Issuer string `yaml:"issuer"`
	// The token's only `aud`, exactly.
	Audience string `yaml:"audience" follows:"<publicURL>"`
	// Where the issuer's keys are, https but on loopback. By default its discovery document says.
	JWKSURL string `yaml:"jwksURL"`
	// File with the issuer's keys (JWK Set), instead. Read again when it changes.
	JWKSFile string `yaml:"jwksFile" kind:"path"`
	// File with the certificates that may sign the issuer's, PEM. Default: the system's.
	CA string `yaml:"ca" kind:"path"`
	// `spiffe`: the trust domain.
	TrustDomain string `yaml:"trustDomain"`
	// `private_key_jwt`: the client's id, which is `iss` and `sub` of its assertions.
	ClientID string `yaml:"clientID"`
	// Longest life of a token that is taken, from `iat` to `exp`.
	MaxLifetime Duration `yaml:"maxLifetime" default:"1h" min:"1m" max:"24h"`
	// Claims that must have exactly these values: a text, a whole number, true or false. Match what
	// never changes and is never given to another, as `repository_id`, not names. A slash goes one
	// level down; in a name itself it is written `~1`, and a tilde `~0`.
	Require map[string]string `yaml:"require"`
	// Claims that must be there, whatever they say.
	RequireClaim []string `yaml:"requireClaim"`
	// The subject here, with claims in braces, as `ci:github:{repository_id}:{run_id}`. What a
	// claim brings is percent-encoded, so that no two identities give one subject.
	Subject string `yaml:"subject" follows:"<name>:{sub}"`
	// The client here.
	Client string `yaml:"client" follows:"<clientID>, or <name>"`
	// Roles that such a token may ask for.
	Roles []string `yaml:"roles" required:"yes"`
	// Gives tokens without a key. Every use is in the record.
	BearerAllowed bool `yaml:"bearerAllowed" default:"false"`
}
