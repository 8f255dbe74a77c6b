package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"

	"sallyport/internal/strictjson"
)

// Installed names the newest bundle that an installation has taken: what is older is not taken
// again. The zero value is of an installation that has taken none.
type Installed struct {
	Number   int64  `json:"number"`
	Revision string `json:"revision"` // of the policy
}

// stamp is our part of a manifest. OPA's signature holds structured files by what they mean to OPA's
// parsers, so that two files of different bytes can have one signature; the digests here are of bytes.
type stamp struct {
	Number int64             `json:"number"`
	Files  map[string]string `json:"files"` // SHA-256, by name; the manifest and signatures aside
}

type manifest struct {
	Revision    string           `json:"revision"`
	RegoVersion int              `json:"rego_version"`
	Metadata    manifestMetadata `json:"metadata"`
}

type manifestMetadata struct {
	Sallyport *stamp `json:"sallyport"`
}

// Verify returns nil where one of the keys has signed what lies at where, a bundle or a directory that
// one was unpacked to, whole and unchanged. It compiles nothing.
func Verify(where string, keys Keys) error {
	if keys == nil {
		keys = Keys{} // which has signed nothing
	}
	_, _, err := readPolicy(where, Options{Keys: keys})
	return err
}

// accept returns what the bundle is, or why it is not taken. Without keys, a manifest of ours is
// held against the files all the same: what was cut short or mixed up is no policy.
func accept(files map[string][]byte, o Options) (*Bundle, error) {
	_, sealed := files[signaturesName]
	b := &Bundle{Unproved: sealed && o.Keys == nil}
	if o.Keys != nil {
		key, err := verifySignature(files, o.Keys)
		if err != nil {
			return nil, err
		}
		b.Signed, b.Key = true, key
	}
	s, err := readStamp(files[manifestName])
	if err != nil {
		return nil, err
	}
	if s == nil {
		if b.Signed {
			return nil, errors.New("the manifest has no number, so nobody can tell whether it is older than the one before; build it with `sallyport policy build`")
		}
		return b, nil
	}
	b.Number = s.Number
	if err := s.hold(files); err != nil {
		return nil, err
	}
	if b.Signed {
		err = o.Newest.before(s.Number, revision(policyFiles(files)))
	}
	return b, err
}

func policyFiles(files map[string][]byte) map[string][]byte {
	out := make(map[string][]byte, len(files))
	for name, data := range files {
		if name != manifestName && name != signaturesName {
			out[name] = data
		}
	}
	return out
}

// before refuses what is older than what was installed.
func (i Installed) before(number int64, revision string) error {
	switch {
	case number < i.Number:
		return fmt.Errorf("its number is %d, and number %d was installed before; a newer policy is not replaced by an older one. To go back, build the old files anew: they get a higher number", number, i.Number)
	case number == i.Number && i.Revision != "" && revision != i.Revision:
		return fmt.Errorf("its number %d is that of the bundle that was installed before, which held something else; build it with a higher number", number)
	}
	return nil
}

func readStamp(raw []byte) (*stamp, error) {
	if raw == nil {
		return nil, nil // no manifest is no error
	}
	if err := strictjson.Check(raw, strictjson.Limits{Depth: 1000}); err != nil {
		return nil, fmt.Errorf("%s: %w", manifestName, err)
	}
	var m manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("%s is no manifest", manifestName)
	}
	if s := m.Metadata.Sallyport; s != nil && s.Number <= 0 {
		return nil, fmt.Errorf("%s: the number is %d; want 1 or more", manifestName, s.Number)
	}
	return m.Metadata.Sallyport, nil
}

// hold compares the files with the digests of the manifest, byte by byte.
func (s *stamp) hold(files map[string][]byte) error {
	for _, name := range sorted(policyFiles(files)) {
		want, ok := s.Files[name]
		if !ok {
			return fmt.Errorf("%s is not in the manifest; only what was built and signed is taken", name)
		}
		if digestOf(files[name]) != want {
			return fmt.Errorf("%s is not what the manifest says: it was changed after it was built", name)
		}
	}
	for name := range s.Files {
		if _, ok := files[name]; !ok {
			return fmt.Errorf("%s is in the manifest and not there", name)
		}
	}
	return nil
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// verifySignature returns the id of the key that has signed exactly these files.
func verifySignature(files map[string][]byte, keys Keys) (string, error) {
	if files[signaturesName] == nil {
		return "", fmt.Errorf("it is not signed (no %s), and policyKey wants a signature; `sallyport policy build DIR -o FILE --sign KEY` makes one", signaturesName)
	}
	if err := strictjson.Check(files[signaturesName], strictjson.Limits{Depth: 10}); err != nil {
		return "", fmt.Errorf("%s: %w", signaturesName, err)
	}
	var sc bundle.SignaturesConfig
	if err := json.Unmarshal(files[signaturesName], &sc); err != nil {
		return "", fmt.Errorf("%s holds no signatures", signaturesName)
	}
	var why error
	for _, key := range keys {
		signed, err := bundle.VerifyBundleSignature(sc, key.config())
		if err != nil {
			why = err
			continue
		}
		if err := sameNames(files, signed); err != nil {
			return "", err
		}
		return key.id, read(files, &key)
	}
	return "", fmt.Errorf("no signature by a key that is taken (%s): %w", strings.Join(keys.IDs(), ", "), why)
}

// sameNames refuses what was not signed and misses what was.
func sameNames(files map[string][]byte, signed map[string]bundle.FileInfo) error {
	for _, name := range sorted(files) {
		if name == signaturesName {
			continue
		}
		info, ok := signed[name]
		if !ok {
			return fmt.Errorf("%s was not signed", name)
		}
		if info.Algorithm != bundle.SHA256.String() {
			return fmt.Errorf("%s was signed by its %s digest; only SHA-256 is taken", name, info.Algorithm)
		}
	}
	for name := range signed {
		if _, ok := files[name]; !ok {
			return fmt.Errorf("%s was signed and is not there", name)
		}
	}
	return nil
}

// read has OPA's own reader verify each file. It gets what we have read, packed anew: there is no
// second reading of an archive that could come out otherwise.
func read(files map[string][]byte, key *verifyKey) error {
	raw, err := pack(files)
	if err != nil {
		return err
	}
	b, err := bundle.NewReader(bytes.NewReader(raw)).WithBundleVerificationConfig(key.config()).
		WithRegoVersion(ast.RegoV1).WithSizeLimitBytes(maxPolicyBytes + 1).Read()
	if err != nil {
		return fmt.Errorf("the signature does not hold: %w", err)
	}
	if b.Type() != bundle.SnapshotBundleType {
		return errors.New("a delta bundle cannot be signed and is not taken")
	}
	return nil
}
