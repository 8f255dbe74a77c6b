package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// cosign signs a checkpoint as a witness does (C2SP tlog-cosignature/v1), with a key of its own.
func cosign(ts *testscript.TestScript, _ bool, args []string) {
	const name = "test-witness"
	public, private, err := ed25519.GenerateKey(rand.Reader)
	ts.Check(err)
	typed := append([]byte{4}, public...)
	hash := sha256.Sum256(append([]byte(name+"\n"), typed...))
	signed := []byte(ts.ReadFile(args[0]))
	text := signed[:bytes.Index(signed, []byte("\n\n"))+1]
	now := time.Now().Unix()
	sig := append(hash[:4:4], binary.BigEndian.AppendUint64(nil, uint64(now))...)
	sig = append(sig, ed25519.Sign(private, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", now, text))...)
	signed = fmt.Appendf(signed, "— %s %s\n", name, base64.StdEncoding.EncodeToString(sig))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), signed, 0o600))
	key := fmt.Sprintf("%s+%08x+%s\n", name, binary.BigEndian.Uint32(hash[:]), base64.StdEncoding.EncodeToString(typed))
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(key), 0o600))
}
