package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// bench holds what the groups share.
type bench struct {
	options
	dir     string // scratch, removed at the end
	binary  string
	report  *report
	running []*process
}

func newBench(ctx context.Context, o options) (*bench, error) {
	dir, err := os.MkdirTemp("", "sallyport-bench-")
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, dir: dir, binary: o.binary, report: newReport(o)}
	if b.binary == "" {
		if b.binary, err = buildGateway(ctx, dir); err != nil {
			b.close()
			return nil, err
		}
	}
	return b, nil
}

func (b *bench) close() {
	for _, p := range b.running {
		p.stop()
	}
	_ = os.RemoveAll(b.dir)
}

// own starts a role of this binary.
func (b *bench) own(ctx context.Context, name string, args ...string) (*process, error) {
	p, err := startOwn(ctx, b.dir, name, args...)
	if err == nil {
		b.running = append(b.running, p)
	}
	return p, err
}

// end stops what a group has started, so that it does not disturb the next.
func (b *bench) end() {
	for _, p := range b.running {
		p.stop()
	}
	b.running = nil
}

// edit changes a file of the module for one build.
type edit struct {
	file   string
	change func(source string) (string, error)
}

// buildGateway builds the gateway as `make build` does, plus the one file that says how often
// it has allocated, and with edits.
func buildGateway(ctx context.Context, dir string, edits ...edit) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	module := strings.TrimSpace(string(root))
	source := filepath.Join(dir, "memstats.go")
	overlay := filepath.Join(dir, "overlay.json")
	replace := map[string]string{filepath.Join(module, "cmd", "sallyport", "bench_memstats.go"): source}
	for i, e := range edits {
		old, err := os.ReadFile(filepath.Join(module, e.file))
		if err != nil {
			return "", err
		}
		text, err := e.change(string(old))
		if err != nil {
			return "", err
		}
		edited := filepath.Join(dir, fmt.Sprintf("edit%d.go", i))
		if err := os.WriteFile(edited, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(module, e.file)] = edited
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	if err := errors.Join(os.WriteFile(source, []byte(overlaySource), 0o600), os.WriteFile(overlay, text, 0o600)); err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "bin", "sallyport")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-overlay", overlay, "-o", binary, "./cmd/sallyport")
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the gateway: %w\n%s", err, out)
	}
	return binary, nil
}

// gateway is a running sallyport and the way to get tokens for it.
type gateway struct {
	*process
	name           string
	binary, config string
	state          string // its directory
	admin          string // where it says whether it is ready
	socket         string // where it takes acts
}

// benchPath is where the gateway serves the one server of gatewayUp.
const benchPath = "/mcp/bench"

// gatewayUp starts the gateway before an upstream with a directory of policies.
func (b *bench) gatewayUp(ctx context.Context, name, upstream, policies string) (*gateway, error) {
	return b.gatewayBefore(ctx, name, fmt.Sprintf("  bench: {type: http, url: \"http://%s/mcp\"}\n", upstream), policies)
}

// gatewayBefore starts the gateway before servers, which are given as YAML.
func (b *bench) gatewayBefore(ctx context.Context, name, servers, policies string) (*gateway, error) {
	g, err := b.configured(name, servers, policies)
	if err != nil {
		return nil, err
	}
	if err := b.up(ctx, g); err != nil {
		return nil, err
	}
	return g, g.ready(ctx, "http://"+g.admin+"/readyz")
}

// configured is a gateway with a configuration and a directory of its own that does not run yet.
func (b *bench) configured(name, servers, policies string) (*gateway, error) {
	dir, err := os.MkdirTemp(b.dir, name) // another one in each group: the state of the last is not its own
	if err != nil {
		return nil, err
	}
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	admin, err := freeAddress()
	if err != nil {
		return nil, err
	}
	g := &gateway{process: &process{addr: addr}, name: name, binary: b.binary, admin: admin, state: filepath.Join(dir, "state"),
		config: filepath.Join(dir, "sallyport.yaml"), socket: filepath.Join(dir, "state", "admin.sock")}
	// All of a load's callers have one grant; more than 16 of them would be refused by default.
	config := fmt.Sprintf("listen: %s\nstate: ./state\nadmin: {listen: %q}\nlimits: {concurrentPerGrant: 1024}\npolicies: %s\nmcpServers:\n%s", addr, admin, policies, servers)
	return g, os.WriteFile(g.config, []byte(config), 0o600)
}

// up starts a gateway and does not wait until it is ready.
func (b *bench) up(ctx context.Context, g *gateway) error {
	socket := filepath.Join(filepath.Dir(g.config), "memstats.sock")
	_ = os.Remove(socket) // of the process before
	env := []string{memstatsSocket + "=" + socket}
	if b.profile != "" {
		env = append(env, profileFile+"="+filepath.Join(b.dir, "cpu.pprof"))
	}
	p, err := start(ctx, b.dir, g.name, env, b.binary, "serve", "--config", g.config)
	if err != nil {
		return err
	}
	p.addr, p.memstats = g.addr, socket
	g.process = p
	if err := p.cmd.Start(); err != nil {
		return err
	}
	b.running = append(b.running, p)
	return nil
}

// token mints a token that outlives one measurement.
func (g *gateway) token(ctx context.Context, role string) (string, error) {
	cmd := exec.CommandContext(ctx, g.binary, "token", "mint", "--config", g.config, "--role", role, "--subject", "bench", "--ttl", "15m")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("mint a token: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// freeAddress finds a port that nothing listens on. It can be taken before it is used; then
// the program that wanted it says so and the run ends.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

const nginxConf = `daemon off;
worker_processes auto;
pid %[1]s/nginx.pid;
error_log stderr error;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  client_max_body_size 8m;
  client_body_buffer_size 2m;
  keepalive_requests 1000000000;
  upstream mcp { server %[3]s; keepalive 256; keepalive_requests 1000000000; }
  server {
    listen %[2]s;
    location / {
      proxy_pass http://mcp;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffers 64 64k;
      proxy_busy_buffers_size 256k;
      proxy_buffer_size 64k;
      proxy_max_temp_file_size 0;
    }
  }
}
`

func (b *bench) nginxUp(ctx context.Context, upstream string) (*process, error) {
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(b.dir, "nginx")
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "nginx.conf")
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(conf, fmt.Appendf(nil, nginxConf, dir, addr, upstream), 0o600)); err != nil {
		return nil, err
	}
	p, err := start(ctx, b.dir, "nginx", nil, b.nginx, "-p", dir, "-e", "stderr", "-c", conf)
	if err != nil {
		return nil, err
	}
	p.addr = addr
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start nginx: %w", err)
	}
	b.running = append(b.running, p)
	for range 200 {
		if c, err := net.Dial("tcp", addr); err == nil {
			return p, c.Close()
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil, fmt.Errorf("nginx does not listen: see %s", p.log)
}
