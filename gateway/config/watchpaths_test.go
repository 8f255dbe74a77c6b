package config

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Changes are seen however they are made: by an editor that replaces the file, and by the links of
// a mounted ConfigMap; with the kernel's help and without.
func TestWatchSeesHoweverFilesChange(t *testing.T) {
	for name, notify := range map[string]bool{"notified": true, "polling": false} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write := func(name, text string) {
				t.Helper()
				path := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			write("a.rego", "1")
			write("..one/mounted.rego", "1")
			write("..two/mounted.rego", "2")
			must(os.Symlink("..one", filepath.Join(dir, "..data")))
			must(os.Symlink("..data/mounted.rego", filepath.Join(dir, "mounted.rego")))

			ctx, end := context.WithTimeout(t.Context(), 3*time.Minute)
			defer end()
			changes := make(chan bool)
			go func() {
				defer close(changes)
				watchPaths(ctx, slog.New(slog.DiscardHandler), watchOptions{notify: notify, poll: 10 * time.Millisecond, settle: time.Millisecond},
					[]string{dir}, func() {
						select {
						case changes <- true:
						case <-ctx.Done():
						}
					})
			}()
			next := func(what string) {
				t.Helper()
				if !<-changes {
					t.Fatalf("not seen: %s", what)
				}
			}
			next("the first look")
			write(".new", "2")
			must(os.Rename(filepath.Join(dir, ".new"), filepath.Join(dir, "a.rego")))
			next("a file that was replaced")
			must(os.Symlink("..two", filepath.Join(dir, "..new")))
			must(os.Rename(filepath.Join(dir, "..new"), filepath.Join(dir, "..data")))
			next("links that lead elsewhere")
			write("sub/b.rego", "1")
			next("a file in a new folder")
			must(os.Remove(filepath.Join(dir, "a.rego")))
			next("a file that is gone")
		})
	}
}
