package config

import (
	"maps"
	"os"
	"slices"
	"strings"
)

// Access is what one server may do, in the words of `config show`: names, never values.
type Access struct {
	Server      string   `json:"server"`
	Type        string   `json:"type"`                // stdio or http
	Command     string   `json:"command,omitempty"`   // absolute path of the program
	Missing     string   `json:"missing,omitempty"`   // why there is no such program
	URL         string   `json:"url,omitempty"`       // without what may be secret in it
	Isolation   string   `json:"isolation,omitempty"` // process, container or none
	Instance    string   `json:"instance,omitempty"`
	Folders     []string `json:"-"` // of Reads, the directories that are the operator's own
	Reads       []string `json:"reads"`
	Writes      []string `json:"writes"`
	Reaches     []string `json:"reaches"`
	Environment []string `json:"environment"` // names of variables
	Credentials []string `json:"credentials"` // "file for Authorization"
}

// Access returns what each server may do, by name.
func (c *Config) Access() []Access {
	out := make([]Access, 0, len(c.Servers))
	for _, name := range slices.Sorted(maps.Keys(c.Servers)) {
		out = append(out, c.Servers[name].access(name))
	}
	return out
}

func (s *Server) access(name string) Access {
	a := Access{Server: name, Type: typeHTTP, Reads: []string{}, Writes: []string{}, Reaches: []string{}, Environment: []string{}, Credentials: []string{}}
	if s.Type != typeStdio {
		a.URL = maskQuery(s.URL)
		a.Reaches = append(a.Reaches, a.URL)
		if s.Credential.Type != "" {
			a.Credentials = append(a.Credentials, s.Credential.Type+" for "+s.Credential.Header)
		}
		for _, header := range slices.Sorted(maps.Keys(s.Headers)) {
			a.Credentials = append(a.Credentials, "header "+header+" in the configuration")
		}
		return a
	}
	a.Type, a.Command, a.Isolation, a.Instance = typeStdio, s.implied.program, s.Sandbox.Type, s.Instance
	if s.implied.missing != nil {
		a.Command, a.Missing = s.Command, s.implied.missing.Error()
	}
	a.Reads, a.Writes, a.Reaches = append(a.Reads, s.implied.read...), append(a.Writes, s.implied.write...), append(a.Reaches, s.implied.egress...)
	for _, path := range slices.Concat(s.Sandbox.Read, s.implied.arguments, s.Sandbox.Write) {
		if info, err := os.Stat(path); err == nil && info.IsDir() && path != s.implied.cache {
			a.Folders = append(a.Folders, path)
		}
	}
	if s.Sandbox.Type == sandboxNone {
		all := []string{"everything that the gateway may"}
		a.Reads, a.Writes, a.Reaches = all, all, all
	}
	a.Environment = append(a.Environment, slices.Sorted(maps.Keys(s.environment()))...)
	for _, variable := range slices.Sorted(maps.Keys(s.EnvFrom)) {
		a.Credentials = append(a.Credentials, s.EnvFrom[variable].Type+" for "+variable)
	}
	return a
}

// Suggestion returns what a stdio server without a sandbox key is given: the files and
// directories among its arguments, and a package runner's profile.
func (s *Server) Suggestion() (read []string, profile string) {
	read = slices.Clone(s.implied.arguments)
	slices.Sort(read)
	return slices.Compact(read), s.Sandbox.Profile
}

// environment is what the program gets beside what every program gets, without credentials.
func (s *Server) environment() map[string]string {
	env := maps.Clone(s.implied.env)
	if env == nil {
		env = map[string]string{}
	}
	maps.Copy(env, s.Env)
	return env
}

// Text says it for a person.
func (a Access) Text() string {
	var b strings.Builder
	line := func(what string, list []string, none string) {
		text := strings.Join(list, ", ")
		if text == "" {
			text = none
		}
		b.WriteString("  " + what + strings.Repeat(" ", 13-len(what)) + text + "\n")
	}
	if a.Type == typeHTTP {
		b.WriteString(a.Server + ": a server at a URL\n")
		line("reaches", a.Reaches, "")
		line("credentials", a.Credentials, "none")
		return b.String()
	}
	b.WriteString(a.Server + ": " + isolation[a.Isolation] + ", one " + processOf[a.Instance] + "\n")
	line("runs", []string{a.Command}, "")
	if a.Missing != "" {
		line("", []string{"(" + a.Missing + ")"}, "")
	}
	line("reads", a.Reads, "nothing but the system's programs and libraries")
	line("writes", a.Writes, "nothing but its private home and /tmp")
	line("reaches", a.Reaches, "no network")
	line("environment", a.Environment, "nothing but PATH, HOME, TMPDIR and LANG")
	line("credentials", a.Credentials, "none")
	return b.String()
}

var isolation = map[string]string{
	sandboxProcess: "a program in a sandbox", sandboxContainer: "a program in a container",
	sandboxNone: "a program WITHOUT a sandbox, with all rights of the gateway",
}

var processOf = map[string]string{"grant": "process for each grant", "principal": "process for each principal", "shared": "process for everybody"}
