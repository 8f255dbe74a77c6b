package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// EnvPrefix begins the name of every environment variable of ours.
const EnvPrefix = "SALLYPORT_"

// Field is what there is to know of one scalar key: for checks, for the environment, and for
// the manual.
type Field struct {
	Path     string // dotted; a server's name, and the place in a list, is *
	GoType   string // type whose field this is
	GoName   string // name of the field
	Type     string // text, number, …
	Default  string
	Env      string // variable that overrides it, or ""
	Min, Max string // bounds, inclusive, or ""
	Required bool
	Follows  string // what the default is made from, or ""

	path  bool // is a file or directory
	index []int
}

// Fields returns every scalar key, in the order of the structs.
func Fields() []Field {
	return collect(reflect.TypeFor[Config](), "", EnvPrefix, nil)
}

func collect(t reflect.Type, path, prefix string, index []int) []Field {
	var out []Field
	for f := range t.Fields() {
		name, ok := f.Tag.Lookup("yaml")
		if !ok {
			continue
		}
		at := append(slices.Clone(index), f.Index...)
		full := join(path, name)
		switch {
		case f.Type.Kind() == reflect.Struct:
			out = append(out, collect(f.Type, full, envPrefix(prefix, f), at)...)
			continue
		case (f.Type.Kind() == reflect.Map || f.Type.Kind() == reflect.Slice) && f.Type.Elem().Kind() == reflect.Pointer:
			out = append(out, collect(f.Type.Elem().Elem(), full+".*", "", nil)...)
			continue
		}
		field := Field{Path: full, GoType: t.Name(), GoName: f.Name, Type: typeName(f), Default: f.Tag.Get("default"),
			Min: f.Tag.Get("min"), Max: f.Tag.Get("max"), Required: f.Tag.Get("required") != "",
			Follows: f.Tag.Get("follows"), path: f.Tag.Get("kind") != "", index: at}
		if env := f.Tag.Get("env"); env != "" && prefix != "" {
			field.Env = prefix + env
		}
		if name == "-" {
			field.Path = ""
		}
		out = append(out, field)
	}
	return out
}

func envPrefix(prefix string, f reflect.StructField) string {
	if own := f.Tag.Get("envPrefix"); own != "" && prefix != "" {
		return prefix + own
	}
	return ""
}

func typeName(f reflect.StructField) string {
	switch f.Type {
	case reflect.TypeFor[Size]():
		return "size"
	case reflect.TypeFor[Duration]():
		return "duration"
	}
	switch f.Type.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "number"
	case reflect.Map:
		return "names and texts"
	case reflect.Slice:
		if f.Tag.Get("kind") != "" {
			return "list of paths"
		}
		return "list of texts"
	}
	if f.Tag.Get("kind") != "" {
		return "path"
	}
	return "text"
}

// fieldsOf maps the keys of a struct to its fields.
func fieldsOf(t reflect.Type) map[string]int {
	out := map[string]int{}
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("yaml"); name != "" && name != "-" {
			out[name] = i
		}
	}
	return out
}

// setDefaults gives every field with a default its value.
func setDefaults(v reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() {
			continue
		}
		if f.Type.Kind() == reflect.Struct {
			setDefaults(v.Field(i))
			continue
		}
		if text, ok := f.Tag.Lookup("default"); ok {
			if err := setText(v.Field(i), text); err != nil {
				panic("config: the default of " + f.Name + ": " + err.Error()) // a test reads every default
			}
		}
	}
}

// variables returns the environment variables that are read, sorted.
func variables() []string {
	names := map[string]bool{EnvPrefix + "CONFIG": true}
	for _, f := range Fields() {
		if f.Env != "" {
			names[f.Env] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// foreign reports whether a variable with our prefix is not for the configuration: Kubernetes
// makes some for a service that is called sallyport, GRANT, SOCKET and RELAY are for commands that
// run under a grant, and CORPORA is the tests'.
func foreign(name string) bool {
	rest := strings.TrimPrefix(name, EnvPrefix)
	return strings.HasPrefix(rest, "PORT") || strings.HasPrefix(rest, "SERVICE_") ||
		rest == "GRANT" || rest == "SOCKET" || rest == "RELAY" || rest == "CORPORA"
}
