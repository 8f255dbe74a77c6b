package policy

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// Files of a bundle that are not the policy itself (OPA's bundle format).
const (
	manifestName   = ".manifest"
	signaturesName = ".signatures.json"
	patchName      = "patch.json"
)

// IsSeal reports whether a file is not of the policy itself and says what was built and signed.
func IsSeal(name string) bool { return name == manifestName || name == signaturesName }

// maxBundleFiles bounds how many files a bundle has.
const maxBundleFiles = 10_000

// Bundle says of a generation how its files came together.
type Bundle struct {
	Number   int64  // grows from one bundle to the next; 0: it has none
	Signed   bool   // by one of the keys that were given
	Key      string // id of that key
	Unproved bool   // it has a signature, and no keys were given to verify it with
}

// readPolicy reads a directory or a bundle into memory. With keys it returns only what one of them
// has signed, file by file and byte by byte; b is nil for a directory that no bundle was unpacked to.
func readPolicy(where string, o Options) (files map[string][]byte, b *Bundle, err error) {
	info, err := os.Stat(where)
	if err != nil {
		return nil, nil, fmt.Errorf("policy directory %s: %w", where, unwrapPath(err))
	}
	if info.IsDir() {
		if files, err = readDir(where); err != nil || o.Keys == nil {
			return files, nil, err
		}
		if err := addHidden(where, files); err != nil {
			return nil, nil, err
		}
	} else if isPolicyFile(where) {
		return nil, nil, fmt.Errorf("%s is a file; name the directory that holds it, or a bundle (.tar.gz)", where)
	} else {
		raw, err := readBounded(where)
		if err != nil {
			return nil, nil, err
		}
		if files, err = unpack(raw); err != nil {
			return nil, nil, fmt.Errorf("bundle %s: %w", where, err)
		}
	}
	if b, err = accept(files, o); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", where, err)
	}
	delete(files, manifestName)
	delete(files, signaturesName)
	return files, b, nil
}

// addHidden reads what makes a directory a bundle that was unpacked.
func addHidden(dir string, files map[string][]byte) error {
	for _, name := range []string{manifestName, signaturesName} {
		raw, err := readBounded(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		files[name] = raw
	}
	return nil
}

func readBounded(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, unwrapPath(err))
	}
	defer func() { _ = f.Close() }() // it was only read
	raw, err := io.ReadAll(io.LimitReader(f, maxPolicyBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, unwrapPath(err))
	}
	if len(raw) > maxPolicyBytes {
		return nil, fmt.Errorf("%s has more than %d bytes", name, maxPolicyBytes)
	}
	return raw, nil
}

// unpack reads a bundle strictly: plain files with clean names, each once, of the kinds that a
// policy is made of. What two readers could take for two policies is refused.
func unpack(raw []byte) (map[string][]byte, error) {
	zipped, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, errors.New("it is no .tar.gz archive")
	}
	// Counted are the bytes of the archive, so that neither one large file nor many small ones,
	// nor what stands between them, can grow without end.
	limited := &io.LimitedReader{R: zipped, N: 2 * maxPolicyBytes}
	archive := tar.NewReader(limited)
	files, total := map[string][]byte{}, 0
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the archive: %w", atLimit(limited, err))
		}
		if header.Typeflag == tar.TypeDir {
			continue
		}
		name, err := memberName(header)
		if err != nil {
			return nil, err
		}
		if _, twice := files[name]; twice {
			return nil, fmt.Errorf("%s stands in it twice", name)
		}
		if len(files) == maxBundleFiles {
			return nil, fmt.Errorf("more than %d files", maxBundleFiles)
		}
		if header.Size > int64(maxPolicyBytes-total) {
			return nil, fmt.Errorf("more than %d bytes", maxPolicyBytes)
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, atLimit(limited, err))
		}
		total += len(data)
		files[name] = data[:len(data):len(data)]
	}
}

func atLimit(r *io.LimitedReader, err error) error {
	if r.N <= 0 {
		return fmt.Errorf("more than %d bytes", maxPolicyBytes)
	}
	return err
}

func memberName(h *tar.Header) (string, error) {
	if h.Typeflag != tar.TypeReg {
		return "", fmt.Errorf("%q is no plain file; links and devices are not taken", h.Name)
	}
	name := strings.TrimPrefix(strings.TrimPrefix(h.Name, "./"), "/") // OPA writes /data.json, tar -C ./data.json
	if !fs.ValidPath(name) || strings.ContainsAny(name, "\\\x00") {
		return "", fmt.Errorf("%q is no clean path below the bundle", h.Name)
	}
	switch {
	case path.Base(name) == patchName:
		return "", fmt.Errorf("%s makes it a delta bundle, which cannot be signed and is not taken", name)
	case name == manifestName || name == signaturesName:
	case strings.HasPrefix(path.Base(name), ".") || !isPolicyFile(name):
		return "", fmt.Errorf("%s is neither Rego nor data; a bundle holds only these", name)
	}
	return name, nil
}

// pack writes files as a bundle; the same files give the same bytes.
func pack(files map[string][]byte) ([]byte, error) {
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	archive := tar.NewWriter(zipped)
	for _, name := range sorted(files) {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(files[name])), ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
		if err := archive.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("write bundle: %w", err)
		}
		if _, err := archive.Write(files[name]); err != nil {
			return nil, fmt.Errorf("write bundle: %w", err)
		}
	}
	if err := errors.Join(archive.Close(), zipped.Close()); err != nil {
		return nil, fmt.Errorf("write bundle: %w", err)
	}
	return out.Bytes(), nil
}
