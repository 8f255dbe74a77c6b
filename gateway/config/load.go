package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
)

// maxFile bounds a configuration file, in bytes.
const maxFile = 4 << 20

// source says where a configuration was read, to read it again.
type source struct {
	file string // as the operator named it; "" for none
	env  map[string]string
	at   map[string]place
}

// Environ turns os.Environ's list into a map.
func Environ(list []string) map[string]string {
	env := make(map[string]string, len(list))
	for _, kv := range list {
		if name, value, ok := strings.Cut(kv, "="); ok {
			env[name] = value
		}
	}
	return env
}

// Load reads the configuration: file, or SALLYPORT_CONFIG when file is empty, or the
// environment alone. The error is a Problems that holds everything wrong; then there is no
// Config. Of what the configuration names it opens no file and looks only whether it is there;
// [Config.CheckFiles] does the rest.
func Load(file string, environ map[string]string) (*Config, error) {
	if file == "" {
		file = environ[EnvPrefix+"CONFIG"]
	}
	if file == "" {
		return load("", nil, environ)
	}
	data, err := readFile(file)
	if err != nil {
		return nil, Problems{{File: file, What: err.Error() + "; make one with `sallyport init`"}}
	}
	return load(file, data, environ)
}

// Preview is [Load] of a file that need not be there yet and would hold data.
func Preview(file string, data []byte, environ map[string]string) (*Config, error) {
	return load(file, data, environ)
}

func load(file string, data []byte, environ map[string]string) (*Config, error) {
	cfg := &Config{}
	setDefaults(reflect.ValueOf(cfg).Elem())
	cfg.source.file = file
	p := newProblems(file)
	read(cfg, file, data, environ, p)
	overlay(cfg, environ, p)
	if !p.unread {
		cfg.sidecar(p)
		cfg.check(p)
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	cfg.source = source{file: file, env: environ, at: p.at}
	cfg.imply(environ, p.at)
	cfg.note(environ)
	return cfg, nil
}

// Reload reads the same configuration again.
func (c *Config) Reload() (*Config, error) { return Load(c.source.file, c.source.env) }

// File is the configuration file, or "" where there is none.
func (c *Config) File() string { return c.source.file }

// Notes is what an operator should know of a configuration that is not wrong.
func (c *Config) Notes() []string { return c.notes }

// read takes the file in, and makes its paths relative to it.
func read(cfg *Config, file string, data []byte, environ map[string]string, p *problems) {
	if file == "" {
		cfg.Policies = ""
		cfg.State = defaultState(environ)
		return
	}
	d := &decoder{problems: p, env: environ}
	d.decode(data, cfg)
	dir := filepath.Dir(file)
	eachPath(cfg, func(path *string, _ bool) { *path = below(dir, *path) })
	cfg.notes = d.notes
}

func readFile(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, unwrapPath(err)
	}
	if info.IsDir() {
		return nil, errors.New("this is a directory; name the file in it")
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("larger than %d bytes; that is no configuration", maxFile)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, unwrapPath(err)
	}
	return data, nil
}

func unwrapPath(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

func defaultState(environ map[string]string) string {
	if base := environ["XDG_STATE_HOME"]; filepath.IsAbs(base) { // the XDG specification: others are ignored
		return filepath.Join(base, "sallyport")
	}
	if home := environ["HOME"]; home != "" {
		return filepath.Join(home, ".local", "state", "sallyport")
	}
	return ""
}

// below makes a path absolute; a relative one is relative to dir.
func below(dir, path string) string {
	if path == "" || filepath.IsAbs(path) || isURL(path) {
		return path
	}
	path = filepath.Join(dir, path)
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// eachPath calls visit for every path of cfg. An input is one whose file the gateway itself is
// made from; others are places that it, or a server, works in.
func eachPath(cfg *Config, visit func(path *string, input bool)) {
	visitPaths(reflect.ValueOf(cfg).Elem(), visit)
	for _, name := range slices.Sorted(maps.Keys(cfg.Servers)) {
		s := cfg.Servers[name]
		visitPaths(reflect.ValueOf(s).Elem(), visit)
		for _, variable := range slices.Sorted(maps.Keys(s.EnvFrom)) {
			visitPaths(reflect.ValueOf(s.EnvFrom[variable]).Elem(), visit)
		}
	}
}

func visitPaths(v reflect.Value, visit func(path *string, input bool)) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		kind := f.Tag.Get("kind")
		switch {
		case !f.IsExported():
		case f.Type.Kind() == reflect.Struct:
			visitPaths(v.Field(i), visit)
		case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Pointer:
			for k := range v.Field(i).Len() {
				visitPaths(v.Field(i).Index(k).Elem(), visit)
			}
		case kind == "" || v.Field(i).Kind() != reflect.String && v.Field(i).Kind() != reflect.Slice:
		case f.Type.Kind() == reflect.Slice:
			for k := range v.Field(i).Len() {
				visit(v.Field(i).Index(k).Addr().Interface().(*string), kind == kindInput)
			}
		default:
			visit(v.Field(i).Addr().Interface().(*string), kind == kindInput)
		}
	}
}

// Kinds of fields that hold paths.
const (
	kindInput = "path"
	kindPlace = "place"
)

// overlay lets the environment override the scalars. Its paths are relative to the working
// directory, as everything else a shell says.
func overlay(cfg *Config, environ map[string]string, p *problems) {
	err := env.ParseWithOptions(cfg, env.Options{Prefix: EnvPrefix, Environment: environ})
	byName := map[string]Field{}
	for _, f := range Fields() {
		if f.Env == "" || environ[f.Env] == "" {
			continue
		}
		byName[f.GoName] = f
		p.at[f.Path] = place{variable: f.Env}
		delete(p.bad, f.Path) // what the file says of it does not count any more
		maps.DeleteFunc(p.at, func(path string, _ place) bool { return strings.HasPrefix(path, f.Path+".") })
		if f.path {
			path := reflect.ValueOf(cfg).Elem().FieldByIndex(f.index).Addr().Interface().(*string)
			*path = below(".", *path)
		}
	}
	var all env.AggregateError
	if !errors.As(err, &all) {
		if err != nil {
			p.list = append(p.list, Problem{What: "read environment: " + err.Error()})
		}
		return
	}
	for _, one := range all.Errors {
		var bad env.ParseError
		if !errors.As(one, &bad) {
			p.list = append(p.list, Problem{What: "read environment: " + one.Error()})
			continue
		}
		f := byName[bad.Name] // only sizes, durations, numbers and truths can fail, and those names are unique
		p.key(f.Path, "wants %s", wants(bad.Type))
	}
}

// sidecar makes SALLYPORT_UPSTREAM the one server.
func (c *Config) sidecar(p *problems) {
	if c.Upstream == "" {
		return
	}
	if len(c.Servers) > 0 {
		p.key("", "stands beside mcpServers of the configuration file; use one of the two")
		return
	}
	s := &Server{URL: c.Upstream}
	setDefaults(reflect.ValueOf(s).Elem())
	c.Servers = map[string]*Server{SidecarName: s}
	p.at["mcpServers."+SidecarName+".url"] = place{variable: EnvPrefix + "UPSTREAM"}
}

// SidecarName is the name of the server of a gateway that has only SALLYPORT_UPSTREAM.
const SidecarName = "upstream"

// note collects what is not wrong and may still surprise.
func (c *Config) note(environ map[string]string) {
	if !c.Enforce {
		c.notes = append(c.notes, "enforce is false: policies decide and are recorded, and refuse nothing")
	}
	if isURL(c.Policies) && c.PolicyKey == "" {
		c.notes = append(c.notes, "policies come from a URL and policyKey is not set: whoever can change the file there decides what is allowed")
	}
	if c.Audit.Inputs == inputsClear {
		c.notes = append(c.notes, "audit.inputs is clear: whoever reads the record reads the arguments of calls; `sealed` keeps them for recipients")
	}
	if !c.Guards.Secrets {
		c.notes = append(c.notes, "guards.secrets is false: nobody looks for secrets, not even in the arguments of sinks, and what a policy asks about them is refused")
	}
	if !c.Guards.Hidden {
		c.notes = append(c.notes, "guards.hidden is false: characters that nobody sees, or that steer a terminal, reach clients unless a policy asks for their removal")
	}
	if len(c.Identity.Local) > 0 && !slices.ContainsFunc(c.Identity.Local, func(l *Local) bool { return l.Operator }) {
		c.notes = append(c.notes, "identity.local names no operator: nobody can see or end the grants of others while the gateway runs; give the gateway's own user `operator: true`")
	}
	for _, server := range slices.Sorted(maps.Keys(c.Servers)) {
		s := c.Servers[server]
		for _, cred := range append([]*Credential{&s.Credential}, slices.Collect(maps.Values(s.EnvFrom))...) {
			if cred.Type == fromEnv {
				c.notes = append(c.notes, "mcpServers."+server+": "+cred.Name+" is a credential in the gateway's environment, which other programs of this user can read; a file is better")
			}
		}
	}
	known := variables()
	for name := range environ {
		if !strings.HasPrefix(name, EnvPrefix) || slices.Contains(known, name) || foreign(name) {
			continue
		}
		text := "the environment has " + name + ", which means nothing here"
		if near := nearest(name, known); near != "" {
			text += "; did you mean " + near + "?"
		}
		c.notes = append(c.notes, text)
	}
	slices.Sort(c.notes)
}

// At gives the configuration the address that listen has become, where its port is 0 and
// publicURL follows it.
func (c *Config) At(address string) {
	if c.PublicURL == "" {
		c.PublicURL = c.scheme() + "://" + address
	}
}

// HasAdmin reports whether there is an operator's listener.
func (c *Config) HasAdmin() bool { return c.Admin.Listen != adminOff }
