package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/bits"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// What is kept of what fuzzing found, so that a plain `go test` runs it: small files, each of which reaches
// most of what neither a seed nor one before it does. A run of the engine finds hundreds, most of them alike.
const (
	maxKept  = 512 // bytes of a file
	maxTried = 60  // files of a target that are looked at
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
	// reached runs one seed and says what it reaches.
	reached := func(seed string) (map[string]bool, error) {
		if _, err := output(ctx, dir, program, "-test.run", "^"+t.name+"$/^"+seed+"$", "-test.coverprofile", profile); err != nil {
			return nil, err
		}
		text, err := os.ReadFile(profile)
		return blocks(string(text)), err
	}
	said, err := output(ctx, dir, program, "-test.v", "-test.run", "^"+t.name+"$")
	if err != nil {
		return 0, err
	}
	seen := map[string]bool{} // by the seeds that there are
	for line := range strings.Lines(said) {
		if _, seed, ok := strings.Cut(strings.TrimSpace(line), "=== RUN   "+t.name+"/"); ok {
			at, err := reached(seed)
			if err != nil {
				return 0, err
			}
			maps.Copy(seen, at)
		}
	}
	each := make([]map[string]bool, len(files))
	for i, f := range files {
		to := filepath.Join(corpus, f.name)
		if _, err := os.Lstat(to); err == nil {
			continue // it is among the seeds
		}
		if err := os.WriteFile(to, f.text, 0o644); err != nil {
			return 0, err
		}
		each[i], err = reached(f.name)
		if err := errors.Join(err, os.Remove(to)); err != nil {
			return 0, err
		}
	}
	for _, i := range choose(each, seen, most-len(there)) {
		if err := os.WriteFile(filepath.Join(corpus, files[i].name), files[i].text, 0o644); err != nil {
			return kept, err
		}
		kept++
	}
	return kept, nil
}

// choose says which of each reach most of what is not seen yet: the best first, of equals the first, and at
// most so many.
func choose(each []map[string]bool, seen map[string]bool, most int) (chosen []int) {
	for len(chosen) < most {
		best, news := 0, 0
		for i := range each {
			n := 0
			for at := range each[i] {
				if !seen[at] {
					n++
				}
			}
			if n > news {
				best, news = i, n
			}
		}
		if news == 0 {
			break
		}
		chosen = append(chosen, best)
		maps.Copy(seen, each[best])
	}
	return chosen
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
