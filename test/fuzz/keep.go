package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// What is kept of what fuzzing found, so that a plain `go test` runs it: small files, smallest first, each of
// which reaches what none before it does. A run of the engine finds hundreds, most of them alike.
const (
	maxKept  = 512 // bytes of a file
	maxTried = 150 // files of a target that are looked at
)

func keepAll(ctx context.Context, targets []target, most int) error {
	cache, err := output(ctx, "", "go", "env", "GOCACHE")
	if err != nil {
		return err
	}
	for _, t := range targets {
		dir, err := output(ctx, "", "go", "list", "-f", "{{.Dir}}", t.pkg)
		if err != nil {
			return err
		}
		n, err := keep(ctx, t, dir, filepath.Join(cache, "fuzz", t.pkg, t.name), most)
		if err != nil {
			return fmt.Errorf("keep inputs of %s %s: %w", t.pkg, t.name, err)
		}
		fmt.Printf("%s %s: %d kept\n", t.pkg, t.name, n)
	}
	return nil
}

// keep copies up to most files of found into the target's corpus in dir and returns how many it copied. What
// is there already counts.
func keep(ctx context.Context, t target, dir, found string, most int) (kept int, err error) {
	files, err := smallest(found)
	if err != nil || len(files) == 0 {
		return 0, err
	}
	corpus := filepath.Join(dir, "testdata", "fuzz", t.name)
	there, err := os.ReadDir(corpus)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	if err := os.MkdirAll(corpus, 0o755); err != nil {
		return 0, err
	}
	temp, err := os.MkdirTemp("", "fuzz-keep")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	program := filepath.Join(temp, "test")
	if _, err := output(ctx, dir, "go", "test", "-c", "-cover", "-covermode=count", "-o", program, "."); err != nil {
		return 0, err
	}
	profile := filepath.Join(temp, "profile")
	// reaches runs one seed and says how much it reaches that is not in seen, and adds it.
	seen := map[string]bool{}
	reaches := func(name string) (news int, err error) {
		if _, err := output(ctx, dir, program, "-test.run", "^"+t.name+"$/^"+name+"$", "-test.coverprofile", profile); err != nil {
			return 0, err
		}
		text, err := os.ReadFile(profile)
		if err != nil {
			return 0, err
		}
		for at := range blocks(string(text)) {
			if !seen[at] {
				seen[at] = true
				news++
			}
		}
		return news, nil
	}
	said, err := output(ctx, dir, program, "-test.v", "-test.run", "^"+t.name+"$")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(said) {
		if _, seed, ok := strings.Cut(strings.TrimSpace(line), "=== RUN   "+t.name+"/"); ok {
			if _, err := reaches(seed); err != nil {
				return 0, err
			}
		}
	}
	for _, f := range files {
		if len(there)+kept >= most {
			break
		}
		to := filepath.Join(corpus, f.name)
		if _, err := os.Lstat(to); err == nil {
			continue
		}
		if err := os.WriteFile(to, f.text, 0o644); err != nil {
			return kept, err
		}
		news, err := reaches(f.name)
		if err == nil && news > 0 {
			kept++
			continue
		}
		if err := errors.Join(err, os.Remove(to)); err != nil {
			return kept, err
		}
	}
	return kept, nil
}

type file struct {
	name string
	text []byte
}

// smallest reads the files of a folder that are small enough to be kept, smallest first; of too many, every
// so manieth.
func smallest(dir string) (files []file, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		if len(text) <= maxKept {
			files = append(files, file{e.Name(), text})
		}
	}
	slices.SortFunc(files, func(a, b file) int {
		return cmp.Or(cmp.Compare(len(a.text), len(b.text)), bytes.Compare(a.text, b.text))
	})
	if n := len(files); n > maxTried {
		for i := range maxTried {
			files[i] = files[i*n/maxTried]
		}
		files = files[:maxTried]
	}
	return files, err
}

// blocks is what a profile of counts says was reached: each block, and how often in powers of two, which is
// what the engine takes for news.
func blocks(profile string) map[string]bool {
	at := map[string]bool{}
	for line := range strings.Lines(profile) {
		place, times, _ := strings.Cut(strings.TrimSpace(line), " ")
		_, times, _ = strings.Cut(times, " ")
		if n, err := strconv.ParseUint(times, 10, 64); err == nil && n > 0 {
			at[fmt.Sprint(place, " ", bits.Len64(n))] = true
		}
	}
	return at
}

func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}
