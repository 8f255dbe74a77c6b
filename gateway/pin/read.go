package pin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"sallyport/gateway/catalog"
	"sallyport/gateway/wire"
	"sallyport/internal/strictjson"
)

const maxFile = 1 << 30 // bytes

// A reader reads one file. Its errors say where.
type reader struct{ path string }

func (r reader) fail(n *yaml.Node, format string, args ...any) error {
	line := 1
	if n != nil && n.Line > 0 {
		line = n.Line
	}
	return fmt.Errorf("%s:%d: %s", r.path, line, fmt.Sprintf(format, args...))
}

// cure ends an error about the form of the file.
const cure = "take the file as it was from version control, or remove this entry and review it again"

func read(path string) (map[string]*server, error) {
	servers := map[string]*server{}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return servers, nil
	}
	r := reader{path: filepath.Clean(path)}
	if err != nil {
		return nil, fmt.Errorf("read pins: %w", err)
	}
	if info.Size() > maxFile {
		return nil, r.fail(nil, "the file has %d bytes, more than any store writes; %s", info.Size(), cure)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read pins: %w", err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, r.fail(nil, "the file is empty; %s, or remove the file, if all is to be pinned anew", cure)
		}
		return nil, r.syntax(err)
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, r.fail(&more, "a second document; want one; %s", cure)
	}
	return servers, r.document(&doc, servers)
}

// syntax puts the place that the parser names in front.
func (r reader) syntax(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if _, scan := fmt.Sscanf(text, "line %d:", &line); scan == nil {
		_, text, _ = strings.Cut(text, ": ")
	}
	return r.fail(&yaml.Node{Line: line}, "this is not YAML: %s; %s", text, cure)
}

func (r reader) document(doc *yaml.Node, servers map[string]*server) error {
	if len(doc.Content) != 1 {
		return r.fail(doc, "want a mapping with version and servers; %s", cure)
	}
	version := ""
	err := r.mapping(doc.Content[0], "the file", func(k, v *yaml.Node) error {
		switch k.Value {
		case "version":
			version = v.Value
			return nil
		case "servers":
			return r.mapping(v, "servers", func(k, v *yaml.Node) error {
				s := newServer()
				servers[k.Value] = s
				return r.server(v, k.Value, s)
			})
		}
		return r.fail(k, "unknown key %.40q; want version or servers; %s", k.Value, cure)
	})
	if err == nil && version != "1" {
		return r.fail(doc.Content[0], "version %.20q; this Sallyport reads version 1", version)
	}
	return err
}

// mapping calls f for each member, refusing keys that come twice and what YAML calls aliases.
func (r reader) mapping(n *yaml.Node, what string, f func(k, v *yaml.Node) error) error {
	if n.Kind != yaml.MappingNode || n.Anchor != "" {
		return r.fail(n, "%s: want a mapping; %s", what, cure)
	}
	known := map[string]int{}
	for i := 0; i < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode || k.Tag == "!!merge" {
			return r.fail(k, "%s: want plain keys; %s", what, cure)
		}
		if line := known[k.Value]; line > 0 {
			return r.fail(k, "%s: %.80q is here twice, first in line %d; keep the one that was reviewed", what, k.Value, line)
		}
		known[k.Value] = k.Line
		if err := f(k, v); err != nil {
			return err
		}
	}
	return nil
}

func (r reader) server(n *yaml.Node, name string, s *server) error {
	return r.mapping(n, name, func(k, v *yaml.Node) error {
		for kind := range kinds {
			switch {
			case k.Value != kinds[kind].section:
			case Kind(kind) == Instructions:
				return r.versions(v, name+": instructions", s, key{Instructions, ""})
			default:
				return r.mapping(v, name+": "+k.Value, func(k, v *yaml.Node) error {
					return r.versions(v, name+"."+k.Value, s, key{Kind(kind), k.Value})
				})
			}
		}
		return r.fail(k, "%s: unknown key %.40q; want tools, prompts, templates or instructions; %s", name, k.Value, cure)
	})
}

func (r reader) versions(n *yaml.Node, what string, s *server, k key) error {
	if n.Kind != yaml.SequenceNode || n.Anchor != "" || len(n.Content) == 0 {
		return r.fail(n, "%s: want a list of definitions; %s", what, cure)
	}
	e := &entry{}
	s.entries[k] = e
	for _, item := range n.Content {
		v, pending, err := r.version(item, what, k)
		if err != nil {
			return err
		}
		place := &e.pin
		if pending {
			place = &e.pending
		}
		for era := range v.eras {
			if !v.eras[era] {
				continue
			}
			if place[era] != nil {
				return r.fail(item, "%s: two definitions for the era %s; keep the one that was reviewed", what, wire.Era(era))
			}
			place[era] = v
		}
	}
	return nil
}

// versionKeys are the keys of one definition.
var versionKeys = []string{"eras", "pending", "digest", "first", "reviewed", "definition", "text", "exact"}

func (r reader) version(n *yaml.Node, what string, k key) (v *version, pending bool, err error) {
	v = &version{}
	has := map[string]*yaml.Node{}
	err = r.mapping(n, what, func(k, v *yaml.Node) error {
		if !slices.Contains(versionKeys, k.Value) {
			return r.fail(k, "%s: unknown key %.40q; want one of %s; %s", what, k.Value, strings.Join(versionKeys, ", "), cure)
		}
		has[k.Value] = v
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	if v.eras, err = r.eras(n, has["eras"], what); err != nil {
		return nil, false, err
	}
	if p := has["pending"]; p != nil {
		if p.Value != "true" {
			return nil, false, r.fail(p, "%s: pending is true or absent; approve with `sallyport tools approve`", what)
		}
		pending = true
	}
	if v.first, err = r.time(n, has["first"], what+": first"); err != nil {
		return nil, false, err
	}
	if v.reviewed, err = r.review(has["reviewed"], what); err != nil {
		return nil, false, err
	}
	if pending && v.reviewed != nil {
		return nil, false, r.fail(has["reviewed"], "%s: what is pending was not reviewed; approve with `sallyport tools approve`", what)
	}
	if v.raw, err = r.definition(n, has, what, k); err != nil {
		return nil, false, err
	}
	v.digest = catalog.Digest(v.raw)
	v.inspect()
	if d := has["digest"]; d == nil || d.Value != v.digest {
		if d == nil {
			d = n
		}
		return nil, false, r.fail(d, "%s: the digest is not of the definition below it, which is %s; one of the two was edited: %s", what, v.digest, cure)
	}
	return v, pending, nil
}

func (r reader) eras(n, list *yaml.Node, what string) (eras [2]bool, err error) {
	if list == nil || list.Kind != yaml.SequenceNode || len(list.Content) == 0 {
		return eras, r.fail(n, "%s: eras: want [modern], [legacy] or both; %s", what, cure)
	}
	for _, one := range list.Content {
		i := slices.IndexFunc([]wire.Era{0, 1}, func(e wire.Era) bool { return e.String() == one.Value })
		if i < 0 || eras[i] {
			return eras, r.fail(one, "%s: eras: want [modern], [legacy] or both; %s", what, cure)
		}
		eras[i] = true
	}
	return eras, nil
}

func (r reader) time(n, at *yaml.Node, what string) (time.Time, error) {
	if at == nil {
		return time.Time{}, r.fail(n, "%s: want a time such as 2026-11-25T12:00:00Z; %s", what, cure)
	}
	t, err := time.Parse(time.RFC3339, at.Value)
	if err != nil {
		return t, r.fail(at, "%s: %.40q is no time such as 2026-11-25T12:00:00Z; %s", what, at.Value, cure)
	}
	return t, nil
}

func (r reader) review(n *yaml.Node, what string) (*Review, error) {
	if n == nil {
		return nil, nil
	}
	var review Review
	var at *yaml.Node
	err := r.mapping(n, what+": reviewed", func(k, v *yaml.Node) error {
		switch k.Value {
		case "by":
			review.By = v.Value
		case "at":
			at = v
		default:
			return r.fail(k, "%s: reviewed: unknown key %.40q; want by and at; %s", what, k.Value, cure)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if review.By == "" {
		return nil, r.fail(n, "%s: reviewed: by whom? want by and at; %s", what, cure)
	}
	review.At, err = r.time(n, at, what+": reviewed: at")
	return &review, err
}

// definition returns the exact bytes.
func (r reader) definition(n *yaml.Node, has map[string]*yaml.Node, what string, k key) ([]byte, error) {
	var raw []byte
	var at *yaml.Node
	for _, form := range []string{"definition", "text", "exact"} {
		node := has[form]
		if node == nil {
			continue
		}
		if at != nil {
			return nil, r.fail(node, "%s: want one of definition, text and exact; %s", what, cure)
		}
		at = node
		switch form {
		case "definition":
			var b bytes.Buffer
			if err := json.Compact(&b, []byte(node.Value)); err != nil {
				return nil, r.fail(node, "%s: the definition is not JSON: %s; %s", what, err, cure)
			}
			raw = b.Bytes()
		case "text":
			var lines []string
			for _, line := range node.Content {
				lines = append(lines, line.Value)
			}
			raw = strictjson.AppendString(nil, strings.Join(lines, "\n"))
		case "exact":
			raw = []byte(node.Value)
		}
	}
	if at == nil {
		return nil, r.fail(n, "%s: there is no definition; %s", what, cure)
	}
	return raw, r.named(at, raw, what, k)
}

// named checks that a definition is sound and of the name that it stands under.
func (r reader) named(at *yaml.Node, raw []byte, what string, k key) error {
	if err := strictjson.Check(raw, strictjson.Limits{}); err != nil {
		return r.fail(at, "%s: the definition is not JSON: %s; %s", what, err, cure)
	}
	if k.kind == Instructions {
		if raw[0] != '"' {
			return r.fail(at, "%s: instructions are a text; %s", what, cure)
		}
		return nil
	}
	page, err := catalog.ParsePage(slices.Concat([]byte(`{"`+kinds[k.kind].member+`":[`), raw, []byte(`]}`)), kinds[k.kind].member)
	if err != nil || len(page.Names) != 1 || page.Names[0] != k.name {
		return r.fail(at, "%s: the definition is of something else; %s", what, cure)
	}
	return nil
}
