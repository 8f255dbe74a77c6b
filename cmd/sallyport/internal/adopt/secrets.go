package adopt

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"sallyport/gateway/credential"
)

var (
	// secretArgument is an argument whose name says the same.
	secretArgument = regexp.MustCompile(`(?i)^--?[a-z0-9-]*(secret|token|passw|api-?key)[a-z0-9-]*(=|$)`)
	// reference is a value that is one variable of the environment and nothing else.
	reference = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$`)
	// unsafe is what a file's name had better not have in it.
	unsafe = regexp.MustCompile(`[^A-Za-z0-9_-]`)
)

// Secret is a value that moves out of the client's file into one of its own.
type Secret struct {
	Path  string // of the file, below the state directory
	value string
}

// secrets takes the secrets of one server out of its configuration.
type secrets struct {
	plan   *Plan
	server string
}

// file plans a file for a value and returns how the configuration names it.
func (s *secrets) file(name, value string) (path string) {
	clean := unsafe.ReplaceAllString(s.server+"-"+name, "_")
	path = "state/secrets/" + clean
	s.plan.Secrets = append(s.plan.Secrets, Secret{Path: filepath.Join(filepath.Dir(s.plan.Out), filepath.FromSlash(path)), value: value})
	return "./" + path
}

// source is where a value is from now on, as pairs of a credential.
func (s *secrets) source(name, value string) []string {
	if m := reference.FindStringSubmatch(value); m != nil {
		return []string{"type", "env", "name", m[1]}
	}
	return []string{"type", "file", "path", s.file(name, value)}
}

// env moves the secrets among a command's variables to envFrom.
func (s *secrets) env(server *yaml.Node) {
	env := member(server, "env")
	if env == nil || env.Kind != yaml.MappingNode {
		return
	}
	from := &yaml.Node{Kind: yaml.MappingNode}
	kept := env.Content[:0:0]
	for i := 0; i+1 < len(env.Content); i += 2 {
		name, value := env.Content[i].Value, env.Content[i+1].Value
		if value == "" || !credential.Sensitive(name) || strings.Contains(value, "${") && !reference.MatchString(value) {
			kept = append(kept, env.Content[i], env.Content[i+1])
			continue
		}
		set(from, name, mapping(s.source(name, value)...))
	}
	env.Content = kept
	if len(kept) == 0 {
		remove(server, "env")
	}
	if len(from.Content) > 0 {
		set(server, "envFrom", from)
	}
}

// header moves the secret among a URL's headers to credential, which holds one.
func (s *secrets) header(server *yaml.Node) {
	headers := member(server, "headers")
	if headers == nil || headers.Kind != yaml.MappingNode {
		return
	}
	taken := false
	kept := headers.Content[:0:0]
	for i := 0; i+1 < len(headers.Content); i += 2 {
		name, value := headers.Content[i].Value, headers.Content[i+1].Value
		prefix, secret := "", value
		if scheme, rest, found := strings.Cut(value, " "); found && strings.EqualFold(name, "Authorization") {
			prefix, secret = scheme+" ", rest
		}
		movable := credential.Sensitive(name) && secret != "" && (!strings.Contains(secret, "${") || reference.MatchString(secret))
		if !movable || taken {
			kept = append(kept, headers.Content[i], headers.Content[i+1])
			if movable {
				s.plan.note("the header %s of %s stays in %s: a server has one credential; give it by ${VARIABLE} where it is a secret", name, s.server, filepath.Base(s.plan.Out))
			}
			continue
		}
		taken = true
		set(server, "credential", mapping(append(s.source(name, secret), "header", name, "prefix", prefix)...))
	}
	headers.Content = kept
	if len(kept) == 0 {
		remove(server, "headers")
	}
}

// arguments warns of secrets that everybody on the machine can read.
func (s *secrets) arguments(server *yaml.Node) {
	args := member(server, "args")
	if args == nil {
		return
	}
	for i, arg := range args.Content {
		if secretArgument.MatchString(arg.Value) {
			s.plan.note("argument %d of %s looks like a secret, and whoever may list processes can read it; give it by a variable in envFrom, if the server takes one", i+1, s.server)
		}
	}
}

func (p *Plan) note(format string, args ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, args...))
}
