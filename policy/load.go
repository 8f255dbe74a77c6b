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
	"maps"
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

	Keys   Keys      // not nil: only what one of them has signed is loaded
	Newest Installed // what is older than this, and signed, is not loaded
}

// maxPolicyBytes bounds a policy directory, data included.
const maxPolicyBytes = 64 << 20

// Load reads a policy directory or bundle once, compiles it, runs its own tests, and returns it as
// a Generation. The error says what is wrong as file:line with the offending text.
func Load(ctx context.Context, where string, o Options) (*Generation, error) {
	files, b, err := readPolicy(where, o)
	if err != nil {
		return nil, err
	}
	g, err := FromFiles(ctx, files, o)
	if err != nil {
		return nil, err
	}
	g.bundle = b
	return g, nil
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
		return nil, nil, &Fault{Name: "no-policies", Text: "no .rego file in the policy directory", Cure: "a starter: sallyport init"}
	}
	all, masks := takeMasks(modules)
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
		return nil, nil, noAllow(c)
	}
	g, err := newGeneration(ctx, c, data, revision(files), o)
	if err != nil {
		return nil, nil, err
	}
	if masks {
		if err := g.newMask(ctx, all, files); err != nil {
			return nil, nil, err
		}
	}
	g.tested = len(tests)+len(tables) > 0
	return g, &suite{files: files, modules: all, rego: tests, tables: tables, data: data}, nil
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
			var list ast.Errors
			if errors.As(err, &list) {
				if old := oldSyntax(name, files, list); old != nil {
					err = old
				}
			}
			errs = append(errs, located(err, files))
			continue
		}
		if strings.HasSuffix(name, "_test.rego") {
			tests[name] = m
			continue
		}
		nameRules(m, name)
		if err := advise(m, name); err != nil {
			errs = append(errs, err)
			continue
		}
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
	c := ast.NewCompiler().WithCapabilities(capabilities()).WithStrict(true).WithSchemas(set).WithUseTypeCheckAnnotations(true).SetErrorLimit(0)
	c.Compile(modules)
	if c.Failed() {
		return nil, located(c.Errors, files)
	}
	return c, nil
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
			return nil, badData(name, err)
		}
		keys := strings.Split(strings.TrimSuffix(name, ext), "/")
		if keys[len(keys)-1] == "data" {
			keys = keys[:len(keys)-1]
		}
		if err := merge(root, keys, doc); err != nil {
			return nil, badData(name, err)
		}
	}
	if _, clash := root["mcp"]; clash {
		return nil, &Fault{Name: "bad-data", Text: "data.mcp belongs to the policies themselves", Cure: "give the data another name"}
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

func badData(name string, err error) *Fault {
	return &Fault{Name: "bad-data", File: name, Text: err.Error()}
}

// noAllow names the rule that is missing, and one of another package that was meant perhaps.
func noAllow(c *ast.Compiler) *Fault {
	f := &Fault{Name: "no-allow", Text: "no rule `allow` in package mcp.authz: without one nothing could ever be allowed"}
	for _, name := range slices.Sorted(maps.Keys(c.Modules)) {
		m := c.Modules[name]
		for _, r := range m.Rules {
			if r.Head.Name == "allow" || m.Package.Path.Equal(allowRef[:3]) && r.Head.Name == "deny" {
				f.Cure = "`deny` alone refuses; say in `allow` what is permitted, if only `allow if true`"
				if r.Head.Name == "allow" {
					f.Cure = fmt.Sprintf("the one of %s:%d is in package %s", name, r.Location.Row, strings.TrimPrefix(m.Package.Path.String(), "data."))
				}
				return f
			}
		}
	}
	return f
}
