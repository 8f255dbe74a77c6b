package deploy

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport/internal/freeport"
)

// container is a directory that looks to the gateway as its container does: the image's one program,
// the chart's ConfigMaps and secrets with the links that a kubelet makes, a state directory of the
// volume's group, and nothing else.
type container struct {
	root, admin string
	lines       chan string
}

// put writes files as a kubelet does: into a directory of a new name, and then one link is exchanged.
func (c *container) put(t *testing.T, dir string, mode os.FileMode, files map[string]string) {
	t.Helper()
	at := filepath.Join(c.root, dir)
	version := fmt.Sprintf("..%d", time.Now().UnixNano())
	must(t, os.MkdirAll(filepath.Join(at, version), 0o755))
	for name, text := range files {
		path := filepath.Join(at, version, name)
		must(t, os.WriteFile(path, []byte(text), mode))
		if os.Geteuid() == 0 {
			must(t, os.Chown(path, 0, 65532)) // fsGroup
		}
	}
	must(t, os.Symlink(version, filepath.Join(at, "..tmp")))
	must(t, os.Rename(filepath.Join(at, "..tmp"), filepath.Join(at, "..data")))
	for name := range files {
		if err := os.Symlink("..data/"+name, filepath.Join(at, name)); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
	}
}

// start runs the chart's form as the container would.
func start(t *testing.T, form string) *container {
	t.Helper()
	c := &container{root: t.TempDir(), lines: make(chan string, 1000)}
	must(t, os.Chmod(c.root, 0o755))
	must(t, os.Chmod(filepath.Dir(c.root), 0o755))
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(c.root, "sallyport"), "../../cmd/sallyport")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	config, policies := map[string]string{}, map[string]string{}
	for _, o := range objects(t, rendered(t, form)) {
		switch {
		case o.Kind == "ConfigMap" && strings.HasSuffix(o.Metadata.Name, "-policies"):
			policies = o.Data
		case o.Kind == "ConfigMap":
			config = o.Data
		}
	}
	c.put(t, "config", 0o644, config)
	c.put(t, "policies", 0o644, policies)
	c.put(t, "tls", 0o440, certificate(t))
	c.put(t, "secrets/tickets", 0o440, map[string]string{"token": "of the server"})
	must(t, os.Mkdir(filepath.Join(c.root, "tmp"), 0o1777))
	must(t, os.Mkdir(filepath.Join(c.root, "state"), 0o700))
	must(t, os.Chmod(filepath.Join(c.root, "state"), 0o2775)) // what fsGroup leaves

	attr := &syscall.SysProcAttr{Chroot: c.root}
	if os.Geteuid() == 0 {
		must(t, os.Chown(filepath.Join(c.root, "state"), 0, 65532))
		attr.Credential = &syscall.Credential{Uid: 65532, Gid: 65532}
	} else { // a user's own namespace lets it change its root
		attr.Cloneflags = syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	c.admin = free(t)
	cmd := exec.CommandContext(t.Context(), "/sallyport", "serve")
	cmd.SysProcAttr, cmd.Dir = attr, "/"
	cmd.Env = []string{"SALLYPORT_CONFIG=/config/sallyport.yaml", "SALLYPORT_LISTEN=" + free(t), "SALLYPORT_ADMIN_LISTEN=" + c.admin}
	said, err := cmd.StderrPipe()
	must(t, err)
	must(t, cmd.Start())
	go func() {
		defer close(c.lines)
		for s := bufio.NewScanner(said); s.Scan(); {
			c.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = cmd.Wait()                          // what it says was read above
	})
	return c
}

// says waits for a line of the log that holds text.
func (c *container) says(t *testing.T, text string) {
	t.Helper()
	var seen []string
	late := time.After(time.Minute)
	for {
		select {
		case line, open := <-c.lines:
			if strings.Contains(line, text) {
				return
			}
			if seen = append(seen, line); !open {
				t.Fatalf("the gateway ended without saying %q:\n%s", text, strings.Join(seen, "\n"))
			}
		case <-late:
			t.Fatalf("the gateway does not say %q:\n%s", text, strings.Join(seen, "\n"))
		}
	}
}

func (c *container) ready(t *testing.T) (int, string) {
	t.Helper()
	resp, err := http.Get("http://" + c.admin + "/readyz")
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, string(text)
}

// Both forms start from what the chart renders, in a root that is not theirs to write; a ConfigMap that
// changes is installed, and one that is broken is not and takes nothing away.
func TestChartRunsAsItsContainer(t *testing.T) {
	for _, form := range forms {
		t.Run(form, func(t *testing.T) {
			c := start(t, form)
			c.says(t, "serving health")
			c.says(t, "msg=serving ")
			if status, text := c.ready(t); status != http.StatusOK {
				t.Fatalf("/readyz: %d\n%s", status, text)
			}
			info, err := os.Stat(filepath.Join(c.root, "state/gateway"))
			must(t, err)
			if info.Mode().Perm() != 0o700 {
				t.Errorf("the state directory has mode %v", info.Mode())
			}
			c.put(t, "policies", 0o644, map[string]string{"authz.rego": "package mcp.authz\n\nallow if input.subject.roles[_] == \"operator\"\n"})
			c.says(t, "policies installed")
			c.put(t, "policies", 0o644, map[string]string{"authz.rego": "package mcp.authz\n\nallow if {"})
			c.says(t, "authz.rego:3")
			if status, text := c.ready(t); status != http.StatusOK || !strings.Contains(text, "the one before serves on") {
				t.Errorf("/readyz with a broken policy: %d\n%s", status, text)
			}
		})
	}
}

func certificate(t *testing.T) map[string]string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"gateway.example", "files.example"}}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	return map[string]string{
		"tls.crt": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})),
		"tls.key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})),
	}
}

func free(t *testing.T) string {
	t.Helper()
	address, release, err := freeport.Reserve()
	must(t, err)
	t.Cleanup(release)
	return address
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
