package adopt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"sallyport/cmd/sallyport/internal/entry"
	"sallyport/gateway/config"
	"sallyport/internal/strictjson"
)

// Options say how a client's file is adopted.
type Options struct {
	File    string // the client's
	Out     string // the gateway's configuration, to be made beside it
	Role    string // that the client's tokens carry
	Program string // absolute path of sallyport, which the client starts
	Environ map[string]string
}

// Plan is what becomes of a client's file. It is made by [Make] and changes nothing until Write.
type Plan struct {
	File, Out, Backup string
	Configuration     []byte // of Out
	Client            []byte // what File will be
	Secrets           []Secret
	Notes             []string // what a person should know
	Config            *config.Config

	original []byte
	mode     fs.FileMode
}

// suffix of the backup.
const suffix = ".before-sallyport"

// limits of a client's file; some keep much else in it.
var limits = strictjson.Limits{Depth: 64}

// Make reads a client's file and plans its adoption.
func Make(o Options) (*Plan, error) {
	p := &Plan{File: o.File, Out: o.Out, Backup: o.File + suffix}
	if filepath.Dir(p.Out) != filepath.Dir(p.File) {
		return nil, fmt.Errorf("%s must lie beside %s, since relative paths in it are relative to the file", p.Out, p.File)
	}
	if present(p.Backup) {
		return nil, fmt.Errorf("%s is there, so %s is adopted already; `sallyport adopt --undo %s` takes that back", p.Backup, p.File, p.File)
	}
	if present(p.Out) {
		return nil, fmt.Errorf("%s is there already, and nothing was written; name another file with --out", p.Out)
	}
	servers, err := p.read()
	if err != nil {
		return nil, err
	}
	m := &move{plan: p, environ: o.Environ, yaml: &yaml.Node{Kind: yaml.MappingNode}}
	if err := m.all(servers); err != nil {
		return nil, err
	}
	if p.Configuration, p.Config, err = m.configuration(); err != nil {
		return nil, err
	}
	return p, p.client(o, m.kept)
}

func present(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// read returns the members of mcpServers.
func (p *Plan) read() ([]strictjson.Member, error) {
	info, err := os.Stat(p.File)
	if err != nil {
		return nil, err
	}
	p.mode = info.Mode().Perm()
	if p.original, err = os.ReadFile(p.File); err != nil {
		return nil, err
	}
	if err := strictjson.Check(p.original, limits); err != nil {
		return nil, fmt.Errorf("%s is not JSON as a client writes it: %w", p.File, err)
	}
	servers, found := strictjson.Find(p.original, "mcpServers")
	members, err := strictjson.Object(servers.Of(p.original))
	if !found || err != nil {
		return nil, fmt.Errorf("%s has no mcpServers, so there is nothing to adopt", p.File)
	}
	for i := range members {
		members[i].Start, members[i].End = members[i].Start+servers.Start, members[i].End+servers.Start
	}
	return members, nil
}

// client makes the client's new file: the gateway, and the servers that could not be taken. All
// else in it stays as it is.
func (p *Plan) client(o Options, kept []strictjson.Member) error {
	command := entry.Connect(o.Program, p.Out, p.Config.Audience(), o.Role)
	list := []string{"\n    \"sallyport\": " + indented([]byte(entry.Stdio(command)))}
	for _, m := range kept {
		name := strictjson.AppendString(nil, m.Name)
		list = append(list, "\n    "+string(name)+": "+indented(m.Value().Of(p.original)))
	}
	span, _ := strictjson.Find(p.original, "mcpServers")
	value := "{" + strings.Join(list, ",") + "\n  }"
	p.Client = bytes.Join([][]byte{p.original[:span.Start], []byte(value), p.original[span.End:]}, nil)
	if err := strictjson.Check(p.Client, limits); err != nil {
		return fmt.Errorf("the client's new file would not be JSON: %w", err)
	}
	return nil
}

func indented(raw []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, raw, "    ", "  ") != nil {
		return string(raw) // it was checked
	}
	return b.String()
}

// errNothing is a file whose servers all stay where they are.
var errNothing = errors.New("none of its servers can be taken behind the gateway, and nothing was written")
