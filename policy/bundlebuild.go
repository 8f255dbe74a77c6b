package policy

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"

	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/util"
)

// BuildOptions of Build.
type BuildOptions struct {
	Number int64  // must grow from one bundle to the next
	Key    []byte // PEM of the private key that signs; nil: not signed
}

// ErrSigningKey is wrapped where Build was given something else than a key that signs.
var ErrSigningKey = errors.New("signing key")

// Built is a bundle and what is in it.
type Built struct {
	Raw      []byte `json:"-"`
	Revision string `json:"revision"`
	Number   int64  `json:"number"`
	Key      string `json:"key,omitempty"` // id of the key that has signed
	Files    int    `json:"files"`
}

// Build makes a bundle (OPA's format, .tar.gz) of a directory that the gateway would install: it
// compiles and passes its tests. The same directory, number and Ed25519 key give the same bytes.
func Build(ctx context.Context, dir string, o BuildOptions) (*Built, error) {
	if o.Number <= 0 {
		return nil, errors.New("the number of a bundle is 1 or more")
	}
	files, err := readDir(dir)
	if err != nil {
		return nil, err
	}
	for _, name := range sorted(files) {
		if path.Base(name) == patchName {
			return nil, fmt.Errorf("%s would make the bundle a delta bundle; give the file another name", name)
		}
	}
	g, err := FromFiles(ctx, files, Options{})
	if err != nil {
		return nil, err
	}
	out := &Built{Revision: g.Revision(), Number: o.Number, Files: len(files)}
	m := manifest{Revision: out.Revision, RegoVersion: 1, Metadata: manifestMetadata{&stamp{Number: o.Number, Files: map[string]string{}}}}
	for name, data := range files {
		m.Metadata.Sallyport.Files[name] = digestOf(data)
	}
	if files[manifestName], err = json.MarshalIndent(m, "", "  "); err != nil {
		return nil, fmt.Errorf("write manifest: %w", err)
	}
	if o.Key != nil {
		if out.Key, err = sign(files, o.Key); err != nil {
			return nil, err
		}
	}
	out.Raw, err = pack(files)
	return out, err
}

// sign adds the signature of all files.
func sign(files map[string][]byte, key []byte) (id string, err error) {
	k, err := readSigningKey(key)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrSigningKey, err)
	}
	hasher, err := bundle.NewSignatureHasher(bundle.SHA256)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	var infos []bundle.FileInfo
	for _, name := range sorted(files) {
		var value any = files[name]
		if bundle.IsStructuredDoc(name) { // OPA signs what it means
			value = nil
			if err := util.Unmarshal(files[name], &value); err != nil {
				return "", fmt.Errorf("sign %s: %w", name, err)
			}
		}
		digest, err := hasher.HashFile(value)
		if err != nil {
			return "", fmt.Errorf("sign %s: %w", name, err)
		}
		infos = append(infos, bundle.NewFile(name, hex.EncodeToString(digest), bundle.SHA256.String()))
	}
	token, err := bundle.GenerateSignedToken(infos, k.config, k.id)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	files[signaturesName], err = json.Marshal(bundle.SignaturesConfig{Signatures: []string{token}})
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return k.id, nil
}
