package config

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"sallyport/policy"
)

// watchOptions are how changes are noticed.
type watchOptions struct {
	notify bool          // ask the kernel
	poll   time.Duration // and look ourselves: network file systems notify nobody
	settle time.Duration // inputs count when they have not changed for this long
}

var watchDefaults = watchOptions{notify: true, poll: 2 * time.Second, settle: 50 * time.Millisecond}

// inputs are the files and directories that a generation is made from.
func (c *Config) inputs() []string {
	paths := []string{c.source.file}
	eachPath(c, func(path *string, input bool) {
		switch {
		case path == &c.Policies:
			paths = append(paths, c.PolicyPlace())
		case input:
			paths = append(paths, *path)
		}
	})
	slices.Sort(paths)
	return slices.DeleteFunc(slices.Compact(paths), func(p string) bool { return p == "" })
}

// watchInputs reloads when an input has changed and come to rest, until ctx ends.
func (s *Service) watchInputs(ctx context.Context) {
	inputs, _ := s.attempt()
	n := newNotifier(s.log, s.watch, inputs)
	defer n.close()
	poll := time.NewTicker(s.watch.poll)
	defer poll.Stop()
	settle := time.NewTimer(s.watch.settle) // what changed since Open is noticed now
	defer settle.Stop()
	moving := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.events:
			settle.Reset(s.watch.settle)
			continue
		case <-poll.C:
		case <-settle.C:
		}
		inputs, tried := s.attempt()
		now := digest(inputs)
		switch {
		case now == tried:
			moving = ""
		case now != moving: // perhaps half written: look again in a moment
			moving = now
			settle.Reset(s.watch.settle)
		default:
			moving = ""
			s.reloadLogged(ctx)
			inputs, _ = s.attempt()
			n.watch(inputs)
		}
	}
}

// attempt is what the newest attempt read, and its digest from before it was read.
func (s *Service) attempt() (inputs []string, digest string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.watched, s.tried
}

// trying notes what is about to be read. The caller holds mu.
func (s *Service) trying(inputs []string) { s.watched, s.tried = inputs, digest(inputs) }

// notifier hears of changes from the kernel, where it can.
type notifier struct {
	w      *fsnotify.Watcher // nil: polling alone
	log    *slog.Logger
	events chan fsnotify.Event
}

func newNotifier(log *slog.Logger, o watchOptions, inputs []string) *notifier {
	n := &notifier{log: log}
	if !o.notify {
		return n
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("changes are noticed by polling alone", slog.Any("error", err))
		return n
	}
	n.w, n.events = w, w.Events
	go func() {
		for err := range w.Errors { // polling notices what was missed
			log.Debug("watching", slog.Any("error", err))
		}
	}()
	n.watch(inputs)
	return n
}

// watch adds the directories of the inputs. Files are watched by their directory, since most
// editors replace them.
func (n *notifier) watch(inputs []string) {
	if n.w == nil {
		return
	}
	for _, path := range inputs {
		dirs := []string{filepath.Dir(path)}
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			dirs = directories(path)
		}
		for _, dir := range dirs {
			if err := n.w.Add(dir); err != nil {
				n.log.Debug("watching", slog.String("directory", dir), slog.Any("error", err))
			}
		}
	}
}

func directories(root string) []string {
	var dirs []string
	_ = filepath.WalkDir(resolve(root), func(path string, d fs.DirEntry, err error) error { // polling sees what cannot be walked
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return nil
	})
	return dirs
}

func (n *notifier) close() {
	if n.w != nil {
		_ = n.w.Close() // nothing to lose
	}
}

func resolve(path string) string {
	path = below(".", path) // as the operator named it, it may be relative
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// maxDigested is the size up to which a file is known by its content; a larger one by its
// size and time.
const maxDigested = 1 << 20

// digest is another one whenever a file of the inputs has changed, come or gone. What cannot
// be read counts as gone: the reload says why.
func digest(inputs []string) string {
	h := sha256.New()
	for _, input := range inputs {
		root := resolve(input)
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				fmt.Fprintf(h, "%q missing\n", path)
				return nil
			}
			hidden := path != root && strings.HasPrefix(d.Name(), ".") && !policy.IsSeal(d.Name()) // as policy.Load sees it
			if d.IsDir() {
				if hidden {
					return fs.SkipDir
				}
				return nil
			}
			if hidden {
				return nil
			}
			digestFile(h, path)
			return nil
		})
	}
	return hex.EncodeToString(h.Sum(nil))
}

func digestFile(h io.Writer, path string) {
	info, err := os.Stat(path) // through links
	if err != nil || !info.Mode().IsRegular() {
		fmt.Fprintf(h, "%q missing\n", path)
		return
	}
	if info.Size() > maxDigested {
		fmt.Fprintf(h, "%q %d %d\n", path, info.Size(), info.ModTime().UnixNano())
		return
	}
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(h, "%q unreadable\n", path)
		return
	}
	fmt.Fprintf(h, "%q %x\n", path, sha256.Sum256(data))
}
