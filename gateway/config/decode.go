package config

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// decoder fills a Config from a tree of YAML, strictly: the library's own decoder reports one
// unknown key without its line, and lets a later duplicate win in some cases.
type decoder struct {
	*problems
	env   map[string]string
	notes []string // what was passed over
}

// decode reads one YAML document into cfg.
func (d *decoder) decode(data []byte, cfg *Config) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return // an empty file says nothing, and the defaults hold
	} else if err != nil {
		d.syntax(err)
		return
	}
	if err := dec.Decode(&more); err == nil {
		d.unread = true
		d.line(more.Line, "", "a second document begins here; a configuration is one")
		return
	} else if !errors.Is(err, io.EOF) {
		d.syntax(err)
		return
	}
	d.value(doc.Content[0], reflect.ValueOf(cfg).Elem(), "")
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?line (\d+): (.*)`)

func (d *decoder) syntax(err error) {
	d.unread = true
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		line, _ := strconv.Atoi(m[1]) // digits
		d.line(line, "", "not YAML: %s", m[2])
		return
	}
	d.line(1, "", "not YAML: %s", text)
}

func (d *decoder) value(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		d.line(n.Line, path, "anchors and aliases are not used here; write the value out")
		return
	}
	d.at[path] = place{line: n.Line}
	switch {
	case v.Kind() == reflect.Struct && n.Kind == yaml.ScalarNode && n.Tag == "!!str" && isText(v.Type()):
		d.scalar(n, v, path)
	case v.Kind() == reflect.Struct:
		d.object(n, v, path)
	case v.Kind() == reflect.Map:
		d.table(n, v, path)
	case v.Kind() == reflect.Slice:
		d.list(n, v, path)
	default:
		d.scalar(n, v, path)
	}
}

// isText reports whether one word may stand for the whole of a struct.
func isText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// list fills a list of texts or of structs.
func (d *decoder) list(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.SequenceNode {
		d.line(n.Line, path, "wants a list, such as [a, b], not %s", describe(n))
		return
	}
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		at, into := join(path, strconv.Itoa(i)), out.Index(i)
		if into.Kind() == reflect.Pointer {
			into.Set(reflect.New(into.Type().Elem()))
			into = into.Elem()
			setDefaults(into)
		}
		d.value(item, into, at)
	}
	v.Set(out)
}

// members calls each for the members of a mapping, and refuses duplicates.
func (d *decoder) members(n *yaml.Node, path string, each func(name string, key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		d.unread = d.unread || path == ""
		d.line(n.Line, path, "wants keys and values, not %s", describe(n))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		name := key.Value
		switch {
		case key.Kind != yaml.ScalarNode:
			d.line(key.Line, path, "a key must be a word, not %s", describe(key))
		case key.Tag == "!!merge":
			d.line(key.Line, join(path, name), "merged keys are not used here; write them out")
		case seen[name] > 0:
			d.line(key.Line, join(path, name), "given twice, first in line %d", seen[name])
		default:
			seen[name] = key.Line
			each(name, key, value)
		}
	}
}

func (d *decoder) object(n *yaml.Node, v reflect.Value, path string) {
	fields := fieldsOf(v.Type())
	d.members(n, path, func(name string, key, value *yaml.Node) {
		index, known := fields[name]
		if !known {
			d.unknown(key, path, name, slices.Collect(maps.Keys(fields)))
			return
		}
		d.value(value, v.Field(index), join(path, name))
		d.at[join(path, name)] = place{line: key.Line}
	})
}

func (d *decoder) unknown(key *yaml.Node, path, name string, known []string) {
	full := join(path, name)
	shape := generic(full)
	if why := later[shape]; why != "" {
		d.line(key.Line, full, "%s", why)
		return
	}
	if clients[shape] {
		d.notes = append(d.notes, full+" is for clients and means nothing here")
		return
	}
	if near := nearest(name, known); near != "" {
		d.line(key.Line, full, "unknown key; did you mean %s?", near)
		return
	}
	slices.Sort(known)
	d.line(key.Line, full, "unknown key; known here are %s", strings.Join(known, ", "))
}

// generic replaces the name of a server, and of a variable of its environment, by a star.
func generic(path string) string {
	rest, ok := strings.CutPrefix(path, "mcpServers.")
	if !ok {
		return path
	}
	_, below, found := strings.Cut(rest, ".") // a name with a dot is refused as a name
	if !found {
		return path
	}
	if variable, ok := strings.CutPrefix(below, "envFrom."); ok {
		if _, key, found := strings.Cut(variable, "."); found {
			below = "envFrom.*." + key
		}
	}
	return "mcpServers.*." + below
}

// table fills a map from names to texts or to servers.
func (d *decoder) table(n *yaml.Node, v reflect.Value, path string) {
	v.Set(reflect.MakeMap(v.Type()))
	elem := v.Type().Elem()
	d.members(n, path, func(name string, key, value *yaml.Node) {
		var item reflect.Value
		if elem.Kind() == reflect.Pointer {
			item = reflect.New(elem.Elem())
			setDefaults(item.Elem())
			d.value(value, item.Elem(), join(path, name))
		} else {
			item = reflect.New(elem).Elem()
			d.value(value, item, join(path, name))
		}
		d.at[join(path, name)] = place{line: key.Line}
		v.SetMapIndex(reflect.ValueOf(name), item)
	})
}

func (d *decoder) scalar(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		d.line(n.Line, path, "wants %s, not %s", wants(v.Type()), describe(n))
		return
	}
	ok := false
	switch {
	case v.Kind() == reflect.Bool:
		ok = n.Tag == "!!bool"
	case v.Kind() == reflect.Int:
		ok = n.Tag == "!!int"
	case v.Kind() == reflect.String, v.Kind() == reflect.Struct:
		ok = n.Tag == "!!str"
	default: // sizes and durations
		ok = n.Tag == "!!str" || n.Tag == "!!int"
	}
	if !ok {
		d.line(n.Line, path, "wants %s, not %s", wants(v.Type()), describe(n))
		return
	}
	text, err := expand(n.Value, d.env)
	if err == nil {
		err = setText(v, text)
	}
	if err != nil {
		d.line(n.Line, path, "%s", err)
	}
}

// setText gives a scalar field its value.
func setText(v reflect.Value, text string) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch v.Kind() {
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return errors.New("wants true or false")
		}
		v.SetBool(b)
	case reflect.Int:
		i, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return errors.New("wants a whole number")
		}
		v.SetInt(i)
	case reflect.String:
		v.SetString(text)
	default:
		return fmt.Errorf("cannot hold text in a %s", v.Type())
	}
	return nil
}

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys and values"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.Tag {
	case "!!null":
		return "nothing"
	case "!!bool":
		return "true or false"
	case "!!int", "!!float":
		return "a number (quote it to make it text)"
	case "!!str":
		return "text"
	}
	return "a value of another kind (" + n.Tag + ")"
}

func wants(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[Size]():
		return "a size such as 4MiB"
	case reflect.TypeFor[Duration]():
		return "a duration such as 60s"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	}
	return "text"
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
