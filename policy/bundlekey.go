package policy

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/bundle"
)

// Keys are the keys of those whose policies are taken; one of them must have signed. No key at all,
// but not nil, takes nothing.
type Keys []verifyKey

type verifyKey struct {
	id        string
	algorithm string // EdDSA or ES256
	pem       string
}

// ReadKeys reads public keys: PEM blocks PUBLIC KEY, each Ed25519 or ECDSA on P-256. Several stand
// for a change of keys. The error says which block is no such key.
func ReadKeys(text []byte) (Keys, error) {
	keys := Keys{}
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "PUBLIC KEY" {
			return nil, fmt.Errorf("a block %s; want PUBLIC KEY%s", block.Type, privateHint(block.Type))
		}
		public, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, errors.New("a block PUBLIC KEY that holds no key")
		}
		algorithm, err := algorithmOf(public)
		if err != nil {
			return nil, err
		}
		id, err := keyID(public)
		if err != nil {
			return nil, err
		}
		keys = append(keys, verifyKey{id, algorithm, string(pem.EncodeToMemory(block))})
	}
	if len(keys) == 0 {
		return nil, errors.New("no block PUBLIC KEY in it; `sallyport policy keygen FILE` makes a pair of keys")
	}
	return keys, nil
}

// IDs name the keys.
func (k Keys) IDs() []string {
	ids := []string{}
	for _, key := range k {
		ids = append(ids, key.id)
	}
	return ids
}

func privateHint(typ string) string {
	if slices.Contains([]string{"PRIVATE KEY", "EC PRIVATE KEY"}, typ) {
		return ": this is the key that signs, which stays with who signs"
	}
	return ""
}

// algorithmOf names the one algorithm that a key is used with. The signature has no say in it, or a
// public key could be taken for a shared secret.
func algorithmOf(public crypto.PublicKey) (string, error) {
	switch k := public.(type) {
	case ed25519.PublicKey:
		return "EdDSA", nil
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			return "ES256", nil
		}
	}
	return "", errors.New("a key that is neither Ed25519 nor ECDSA on P-256")
}

// keyID is a digest of the public key.
func keyID(public crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", fmt.Errorf("read public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return "sha256:" + hex.EncodeToString(sum[:8]), nil
}

// config is what OPA verifies with: this key alone, whatever the signature says of itself.
func (k *verifyKey) config() *bundle.VerificationConfig {
	return bundle.NewVerificationConfig(map[string]*bundle.KeyConfig{k.id: {Key: k.pem, Algorithm: k.algorithm}}, k.id, "", nil)
}

// signingKey is a private key and what it is used with.
type signingKey struct {
	id     string
	config *bundle.SigningConfig
}

func readSigningKey(text []byte) (*signingKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no PEM in it; `sallyport policy keygen FILE` makes a pair of keys")
	}
	var private any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		private, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		private, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("a block %s; want PRIVATE KEY", block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("a block %s that holds no key", block.Type)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, errors.New("a key that cannot sign")
	}
	algorithm, err := algorithmOf(signer.Public())
	if err != nil {
		return nil, err
	}
	id, err := keyID(signer.Public())
	if err != nil {
		return nil, err
	}
	return &signingKey{id, bundle.NewSigningConfig(string(pem.EncodeToMemory(block)), algorithm, "")}, nil
}

// NewKeys makes a pair of keys (Ed25519) in PEM: one to sign with, and one to verify with.
func NewKeys() (private, public []byte, id string, err error) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, "", fmt.Errorf("make key: %w", err)
	}
	privateDER, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		return nil, nil, "", fmt.Errorf("write key: %w", err)
	}
	publicDER, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, nil, "", fmt.Errorf("write key: %w", err)
	}
	if id, err = keyID(pub); err != nil {
		return nil, nil, "", err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: privateDER}),
		pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: publicDER}), id, nil
}
