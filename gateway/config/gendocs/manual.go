package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"

	"sallyport/gateway/config"
)

const head = "# Configuration\n\n" +
	"<!-- Written by `make docs` from the comments in gateway/config. Do not edit. -->\n\n" +
	"One YAML file, named by `--config FILE` or `SALLYPORT_CONFIG`; JSON is YAML, so an MCP client's\n" +
	"`.mcp.json` is read as it is. Without a file the environment says it all:\n\n" +
	"```\nSALLYPORT_UPSTREAM=http://127.0.0.1:9000/mcp SALLYPORT_POLICIES=./policies sallyport serve\n```\n\n" +
	"- Unknown keys, keys given twice and values of the wrong type are refused with file and line, all at\n" +
	"  once. `sallyport config check` says the same without starting anything; `sallyport config show`\n" +
	"  prints what the configuration comes to, secrets masked.\n" +
	"- A variable of the environment, where it is set and not empty, wins over the file.\n" +
	"- Relative paths in the file are relative to the file, those in the environment to the working\n" +
	"  directory.\n" +
	"- `${NAME}` and `${NAME:-default}` in a value are replaced from the environment. A variable that is\n" +
	"  not set and has no default is refused.\n" +
	"- A size is written 4MiB, 512KiB or 65536 (bytes), a duration 60s, 5m or 1h30m.\n" +
	"- `localhost`, `127.0.0.1` and `[::1]` are one host.\n" +
	"- The file, the policies, certificates and credentials are watched. A change is built beside what\n" +
	"  serves and replaces it only when it is sound; otherwise the log and `/readyz` say what is wrong,\n" +
	"  and nothing changes. `listen`, `publicURL`, `state`, `admin.listen`, `admin.socket`, `policyKey`,\n" +
	"  `tls.clientCA` (their names, not what is in them), and whether there is TLS, need a restart.\n" +
	"- Keys of clients are obeyed (`timeout`), passed over with a note (`alwaysLoad`), or refused with what\n" +
	"  to write instead (`headersHelper`, `disabled`): a key that is taken and not obeyed could be what\n" +
	"  keeps a door shut.\n\n" +
	"What commands do (`grant create`, `token mint`, …) is in the record of the gateway that runs, which does\n" +
	"it for them. Where none runs it is in `<state>/audit-acts`, in the same form.\n\n"

// manual returns docs/configuration.md for the structs in some files.
func manual(sources ...string) ([]byte, error) {
	w := &writer{structs: map[string]*ast.StructType{}, fields: map[string]config.Field{}}
	for _, source := range sources {
		if err := w.read(source); err != nil {
			return nil, fmt.Errorf("read structs: %w", err)
		}
	}
	for _, f := range config.Fields() {
		w.fields[f.GoType+"."+f.GoName] = f
	}
	w.out.WriteString(head)
	if err := w.structure("Config", "", "##"); err != nil {
		return nil, err
	}
	return append(bytes.TrimRight(w.out.Bytes(), "\n"), '\n'), nil
}

type writer struct {
	out     bytes.Buffer
	structs map[string]*ast.StructType
	fields  map[string]config.Field
}

// read takes in the structs of a file.
func (w *writer) read(source string) error {
	file, err := parser.ParseFile(token.NewFileSet(), source, nil, parser.ParseComments)
	if err != nil {
		return err
	}
	for _, d := range file.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.TYPE {
			continue
		}
		for _, s := range g.Specs {
			spec, ok := s.(*ast.TypeSpec)
			if !ok {
				continue
			}
			if st, ok := spec.Type.(*ast.StructType); ok {
				w.structs[spec.Name.Name] = st
			}
		}
	}
	return nil
}

// structure writes the fields of a struct whose keys stand below path, under headings of a level.
func (w *writer) structure(name, path, level string) error {
	st := w.structs[name]
	if st == nil {
		return fmt.Errorf("no struct %s", name)
	}
	for _, f := range st.Fields.List {
		if f.Tag == nil {
			continue
		}
		key := reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("yaml")
		doc := strings.TrimSpace(f.Doc.Text())
		if doc == "" {
			return fmt.Errorf("%s.%s has no comment, so the manual would not say what it is", name, f.Names[0].Name)
		}
		full := strings.TrimPrefix(path+"."+key, ".")
		if inner, below := nested(f.Type); w.structs[inner] != nil {
			fmt.Fprintf(&w.out, "%s `%s`\n\n%s\n\n", level, full, doc)
			if err := w.structure(inner, full+below, level+"#"); err != nil {
				return err
			}
			continue
		}
		field, ok := w.fields[name+"."+f.Names[0].Name]
		if !ok {
			return fmt.Errorf("%s.%s is not among the fields", name, f.Names[0].Name)
		}
		w.key(level, full, field, doc)
	}
	return nil
}

// nested returns the struct that a field holds, and what stands between their keys.
func nested(t ast.Expr) (name, below string) {
	if m, ok := t.(*ast.MapType); ok {
		if star, ok := m.Value.(*ast.StarExpr); ok {
			t, below = star.X, ".<name>"
		}
	}
	if list, ok := t.(*ast.ArrayType); ok {
		if star, ok := list.Elt.(*ast.StarExpr); ok {
			t, below = star.X, "[]"
		}
	}
	if id, ok := t.(*ast.Ident); ok {
		return id.Name, below
	}
	return "", ""
}

func (w *writer) key(level, full string, f config.Field, doc string) {
	title := full
	if f.Path == "" {
		title = f.Env
	}
	facts := []string{f.Type}
	switch {
	case f.Required:
		facts = append(facts, "required")
	case f.Default != "":
		facts = append(facts, "default `"+f.Default+"`")
	case f.Follows != "":
		facts = append(facts, "default `"+f.Follows+"`")
	default:
		facts = append(facts, "default: none")
	}
	if f.Min != "" {
		facts = append(facts, "from "+f.Min+" to "+f.Max)
	}
	if f.Env != "" && f.Path != "" {
		facts = append(facts, "`"+f.Env+"`")
	}
	fmt.Fprintf(&w.out, "%s `%s`\n\n%s\n\n%s\n\n", level, title, strings.Join(facts, " · "), doc)
}
