package policy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"go.yaml.in/yaml/v3"

	"sallyport/internal/strictjson"
)

// Options of Load. The zero value is good.
type Options struct {
	CacheSize int // decisions kept; default 10,000; negative: none
}

// maxPolicyBytes bounds a policy directory, data included.
const maxPolicyBytes = 64 << 20

// Load reads the policy directory dir once, compiles it, runs its own tests, and returns it as
// a Generation. The error says what is wrong as file:line with the offending text.
func Load(ctx context.Context, dir string, o Options) (*Generation, error) {
	files, err := readDir(dir)
	if err != nil {
		return nil, err
	}
	return FromFiles(ctx, files, o)
}

// readDir reads every file of a policy directory into memory, so that what is compiled and
// what is named by the revision are the same bytes.
func readDir(dir string) (map[string][]byte, error) {
	files := map[string][]byte{}
	total := 0
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, fmt.Errorf("policy directory %s: %w", dir, unwrapPath(err))
	}
	if info, err := os.Stat(root); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("%s is a file; name the directory that holds it", dir)
	}
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if p != root && strings.HasPrefix(name, ".") {
				return fs.SkipDir // as the ..data of a mounted ConfigMap, whose links stand beside it
			}
			return nil
		}
		if strings.HasPrefix(name, ".") || !isPolicyFile(name) {
			return nil
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		if total += len(data); total > maxPolicyBytes {
			return fmt.Errorf("more than %d bytes", maxPolicyBytes)
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		files[filepath.ToSlash(rel)] = data
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("policy directory %s: %w", dir, unwrapPath(err))
	}
	return files, nil
}

func unwrapPath(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

func isPolicyFile(name string) bool {
	switch path.Ext(name) {
	case ".rego", ".json", ".yaml", ".yml":
		return true
	}
	return false
}

// FromFiles is Load for files in memory, named by their slash-separated path.
func FromFiles(ctx context.Context, files map[string][]byte, o Options) (*Generation, error) {
	g, own, err := build(ctx, files, o)
	if err != nil {
		return nil, err
	}
	if err := own.verify(ctx, g); err != nil {
		return nil, err
	}
	return g, nil
}

// build compiles a directory. Its tests have not run.
func build(ctx context.Context, files map[string][]byte, o Options) (*Generation, *suite, error) {
	modules, tests, err := parse(files)
	if err != nil {
		return nil, nil, err
	}
	if len(modules) == 0 {
		return nil, nil, errors.New("no .rego file in the policy directory; a starter: sallyport init")
	}
	data, err := readData(files)
	if err != nil {
		return nil, nil, err
	}
	tables, err := readTables(files)
	if err != nil {
		return nil, nil, err
	}
	c, err := compile(modules, files)
	if err != nil {
		return nil, nil, err
	}
	if len(c.GetRulesExact(allowRef)) == 0 {
		return nil, nil, errors.New("no rule `allow` in package mcp.authz: without one nothing could ever be allowed")
	}
	g, err := newGeneration(ctx, c, data, revision(files), o)
	if err != nil {
		return nil, nil, err
	}
	return g, &suite{files: files, modules: modules, rego: tests, tables: tables, data: data}, nil
}

func revision(files map[string][]byte) string {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	h := sha256.New()
	for _, name := range names {
		fmt.Fprintf(h, "%d:%s%d:", len(name), name, len(files[name]))
		h.Write(files[name])
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))[:16]
}

func parse(files map[string][]byte) (modules, tests map[string]*ast.Module, err error) {
	modules, tests = map[string]*ast.Module{}, map[string]*ast.Module{}
	caps := capabilities()
	var errs []error
	for _, name := range sorted(files) {
		if path.Ext(name) != ".rego" {
			continue
		}
		m, err := ast.ParseModuleWithOpts(name, string(files[name]), ast.ParserOptions{
			ProcessAnnotation: true, Capabilities: caps, RegoVersion: ast.RegoV1})
		if err != nil {
			errs = append(errs, located(err, files))
			continue
		}
		if strings.HasSuffix(name, "_test.rego") {
			tests[name] = m
			continue
		}
		nameRules(m, name)
		modules[name] = m
	}
	return modules, tests, errors.Join(errs...)
}

// nameRules gives every rule of ours that has no label of its own the label rule=file:line, so
// that a decision can say which rules held.
func nameRules(m *ast.Module, file string) {
	if !m.Package.Path.HasPrefix(ast.MustParseRef("data.mcp")) {
		return
	}
	for _, r := range m.Rules {
		named := slices.ContainsFunc(r.Annotations, func(a *ast.Annotations) bool { return a.Labels["rule"] != nil })
		if named || r.Default {
			continue
		}
		a := &ast.Annotations{Scope: "rule", Location: r.Location,
			Labels: map[string]any{"rule": fmt.Sprintf("%s:%d", file, r.Location.Row)}}
		m.Annotations = append(m.Annotations, a.Copy(r))
	}
}

func sorted(files map[string][]byte) []string {
	names := make([]string, 0, len(files))
	for n := range files {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

func compile(modules map[string]*ast.Module, files map[string][]byte) (*ast.Compiler, error) {
	set, err := schemas()
	if err != nil {
		return nil, err
	}
	c := ast.NewCompiler().WithCapabilities(capabilities()).WithStrict(true).WithSchemas(set).WithUseTypeCheckAnnotations(true)
	c.Compile(modules)
	if c.Failed() {
		return nil, located(c.Errors, files)
	}
	return c, nil
}

// located adds to each of OPA's errors the line of source that it is about.
func located(err error, files map[string][]byte) error {
	var list ast.Errors
	if !errors.As(err, &list) {
		return err
	}
	out := make([]error, 0, len(list))
	for _, e := range list {
		if e.Location == nil || e.Location.File == "" {
			out = append(out, errors.New(e.Message))
			continue
		}
		msg := e.Message
		if e.Details != nil {
			for _, l := range e.Details.Lines() {
				if l = strings.TrimSpace(l); l != "" && !strings.HasPrefix(l, "^") {
					msg += "; " + l
				}
			}
		}
		out = append(out, fmt.Errorf("%s:%d: %s\n\t%s", e.Location.File, e.Location.Row, msg, sourceLine(files[e.Location.File], e.Location.Row)))
	}
	return errors.Join(out...)
}

func sourceLine(src []byte, row int) string {
	lines := bytes.Split(src, []byte("\n"))
	if row < 1 || row > len(lines) {
		return ""
	}
	return strings.TrimSpace(string(lines[row-1]))
}

// readData builds `data` from the JSON and YAML files beside the Rego: a file named data.* is
// the root of its folder, any other stands under its own name.
func readData(files map[string][]byte) (map[string]any, error) {
	root := map[string]any{}
	for _, name := range sorted(files) {
		ext := path.Ext(name)
		if ext == ".rego" || isTable(name) {
			continue
		}
		var doc any
		var err error
		if ext == ".json" {
			if err = strictjson.Check(files[name], strictjson.Limits{Depth: 1000}); err == nil {
				dec := json.NewDecoder(bytes.NewReader(files[name]))
				dec.UseNumber()
				err = dec.Decode(&doc)
			}
		} else {
			err = yaml.Unmarshal(files[name], &doc)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		keys := strings.Split(strings.TrimSuffix(name, ext), "/")
		if keys[len(keys)-1] == "data" {
			keys = keys[:len(keys)-1]
		}
		if err := merge(root, keys, doc); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if _, clash := root["mcp"]; clash {
		return nil, errors.New("data.mcp belongs to the policies themselves; give the data another name")
	}
	return root, nil
}

func merge(root map[string]any, keys []string, doc any) error {
	for _, k := range keys {
		next, ok := root[k].(map[string]any)
		if !ok {
			if root[k] != nil {
				return fmt.Errorf("data.%s is defined twice", k)
			}
			next = map[string]any{}
			root[k] = next
		}
		root = next
	}
	values, ok := doc.(map[string]any)
	if !ok {
		return errors.New("a data file holds an object")
	}
	for k, v := range values {
		if _, dup := root[k]; dup {
			return fmt.Errorf("%q is defined twice", k)
		}
		root[k] = v
	}
	return nil
}
