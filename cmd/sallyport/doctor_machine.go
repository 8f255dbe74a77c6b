package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	goversion "go/version"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sallyport/gateway/config"
)

// What a machine must have for an installation to last the week.
const (
	fewFiles = 4096    // descriptors: two for each call under way, one for each stream
	fewBytes = 1 << 30 // of disk: some hours of a busy record
	soonEnds = 7 * 24 * time.Hour
)

// wantedGo is the toolchain of go.mod: the oldest Go without a known vulnerability in what this program
// calls. A build with GOTOOLCHAIN=local can have an older one.
const wantedGo = "go1.26.10"

// compiler notes a build with an older Go than wanted. It is a note and not a fault, since a distribution
// may have mended its Go without a new number.
func compiler(built string) (note string, older bool) {
	number, _, _ := strings.Cut(built, " ")
	if goversion.Compare(number, wantedGo) >= 0 {
		return "", false
	}
	return fmt.Sprintf("built with %s, whose standard library has known vulnerabilities in HTTP and TLS that %s has not: build again with GOTOOLCHAIN=%s (`make vuln` lists them)", number, wantedGo, wantedGo), true
}

// machine is what the doctor reads of the machine.
type machine struct {
	files, bytes uint64
	now          time.Time
}

// examineMachine looks at what runs out: descriptors, the disk under the record, and the certificate.
func examineMachine(cfg *config.Config) []check {
	m := machine{now: time.Now()}
	var err error
	if m.files, m.bytes, err = limits(existing(cfg.State)); err != nil {
		return []check{{"machine", false, err.Error()}}
	}
	return m.judge(cfg)
}

func (m machine) judge(cfg *config.Config) []check {
	checks := []check{
		{"descriptors", m.files >= fewFiles, fmt.Sprintf("%d files and connections may be open", m.files)},
		{"disk", m.bytes >= fewBytes, fmt.Sprintf("%.1f GiB are free under %s", float64(m.bytes)/(1<<30), cfg.State)},
	}
	if !checks[0].Fine {
		checks[0].Text += fmt.Sprintf("; a call needs two and a stream one: raise it to %d or more (ulimit -n, or LimitNOFILE of the service)", fewFiles)
	}
	if !checks[1].Fine {
		checks[1].Text += "; when the record cannot be written every call is refused: make room, or move old segments away (`sallyport audit prune`)"
	}
	if cfg.TLS.Cert != "" {
		checks = append(checks, m.certificate(cfg.TLS.Cert, cfg.TLS.Key))
	}
	return checks
}

func (m machine) certificate(cert, key string) check {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return check{"certificate", false, fmt.Sprintf("%s: %v; clients cannot connect", cert, err)}
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return check{"certificate", false, fmt.Sprintf("%s: %v", cert, err)}
	}
	until := leaf.NotAfter.UTC().Format(time.RFC3339)
	switch {
	case m.now.After(leaf.NotAfter):
		return check{"certificate", false, fmt.Sprintf("%s ended at %s, and clients refuse it: put a new one there, it is read without a restart", cert, until)}
	case m.now.Before(leaf.NotBefore):
		return check{"certificate", false, fmt.Sprintf("%s begins at %s only; is this machine's clock right?", cert, leaf.NotBefore.UTC().Format(time.RFC3339))}
	case leaf.NotAfter.Sub(m.now) < soonEnds:
		return check{"certificate", false, fmt.Sprintf("%s ends at %s: put a new one there before, it is read without a restart", cert, until)}
	}
	return check{"certificate", true, fmt.Sprintf("%s, until %s", cert, until)}
}

// existing is the path or the nearest directory above it that is there.
func existing(path string) string {
	for {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) || path == filepath.Dir(path) {
			return path
		}
		path = filepath.Dir(path)
	}
}
