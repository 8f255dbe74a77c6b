package adopt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sallyport/identity/mint"
	"sallyport/internal/strictjson"
)

// Write does what the plan says. The client's file comes last and is replaced at once. An error
// leaves it as it was, and takes away what was made before.
func (p *Plan) Write() (err error) {
	now, err := os.ReadFile(p.File)
	if err != nil {
		return err
	}
	if string(now) != string(p.original) {
		return fmt.Errorf("%s has changed since it was shown, and nothing was written", p.File)
	}
	var made []string
	defer func() {
		if err != nil {
			for _, path := range made {
				err = errors.Join(err, os.Remove(path))
			}
		}
	}()
	if len(p.Secrets) > 0 {
		if err := p.Config.OpenState(); err != nil {
			return err
		}
	}
	for _, s := range p.Secrets {
		if old, err := os.ReadFile(s.Path); err == nil && string(old) == s.value {
			continue // of an adoption that was taken back
		}
		if err := s.write(); err != nil {
			return fmt.Errorf("write secret %s: %w", s.Path, err)
		}
		made = append(made, s.Path)
	}
	if err := create(p.Out, p.Configuration, 0o644); err != nil {
		return err
	}
	made = append(made, p.Out)
	if err := create(p.Backup, p.original, p.mode); err != nil {
		return err
	}
	made = append(made, p.Backup)
	return replace(p.File, p.Client, p.mode)
}

func (s *Secret) write() error {
	if present(s.Path) {
		return errors.New("it is there already with another value; remove it")
	}
	if err := os.MkdirAll(filepath.Dir(s.Path), 0o700); err != nil {
		return err
	}
	return mint.WritePrivate(s.Path, []byte(s.value))
}

// create writes a file that must not be there.
func create(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// replace puts a file in the place of another at once. Where that is a link, the file that it
// leads to is replaced.
func replace(path string, data []byte, mode fs.FileMode) error {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".adopt-*")
	if err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // not there after the rename
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}

// Undo gives a client its file back, byte for byte. Servers that were added to it since would be
// lost, so unless force is true it refuses and names them.
func Undo(file string, force bool) error {
	backup := file + suffix
	original, err := os.ReadFile(backup)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is not there, so there is nothing to take back", backup)
	}
	if err != nil {
		return err
	}
	info, err := os.Stat(backup)
	if err != nil {
		return err
	}
	if added := added(file, original); len(added) > 0 && !force {
		return fmt.Errorf("%s has servers that were added since and would be lost: %s; take them out, or say --yes", file, strings.Join(added, ", "))
	}
	if err := replace(file, original, info.Mode().Perm()); err != nil {
		return err
	}
	return os.Remove(backup)
}

// added names the servers of a file that its backup has not got, but for the gateway.
func added(file string, original []byte) []string {
	now, err := os.ReadFile(file)
	if err != nil || strictjson.Check(now, limits) != nil {
		return nil // nothing can be lost that a client could read
	}
	before := names(original)
	var out []string
	for _, name := range names(now) {
		known := name == "sallyport"
		for _, b := range before {
			known = known || b == name
		}
		if !known {
			out = append(out, name)
		}
	}
	return out
}

func names(data []byte) []string {
	var out []string
	if span, ok := strictjson.Find(data, "mcpServers"); ok {
		members, err := strictjson.Object(span.Of(data))
		if err != nil {
			return nil
		}
		for _, m := range members {
			out = append(out, m.Name)
		}
	}
	return out
}
