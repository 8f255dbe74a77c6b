//go:build linux

package escape

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/gateway/egress"
	"sallyport/gateway/sandbox"
)

// A world is what there is to get hold of: real files, sockets and processes of this machine,
// each with the mark. The gateway is this test's process.
type world struct {
	dir, program string
	targets      map[string]string
	victim       *exec.Cmd
	ended        chan struct{} // closed when the victim has ended
	log          logged
}

// logged is what the gateway's side has logged.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// report is what the hostile program says of an attempt; dead says that it said nothing.
type report struct {
	Attempt string
	Escaped bool
	Detail  string
	dead    bool
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "escape-") // short: the paths of sockets have 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w := &world{dir: dir, program: filepath.Join(dir, "program", "hostile")}
	w.lay(t)
	w.open(t)
	w.begin(t)
	w.targets["mark"], w.targets["gateway"] = mark, strconv.Itoa(os.Getpid())
	for what, amount := range map[string]string{"processes": "600", "megabytes": "768", "fill": "64", "descriptors": "1000", "seconds": "3"} {
		w.targets[what] = amount
	}
	return w
}

// lay makes the files.
func (w *world) lay(t *testing.T) {
	t.Helper()
	at := func(path string) string { return filepath.Join(w.dir, path) }
	for _, dir := range []string{"secret", "folder/state", "work", "home/.ssh", "home/.aws", "program", "run"} {
		must(t, os.MkdirAll(at(dir), 0o700))
	}
	for _, file := range []string{"secret/key", "folder/state/key", "home/.ssh/id_ed25519", "home/.aws/credentials"} {
		must(t, os.WriteFile(at(file), []byte("a secret with "+mark), 0o600))
	}
	must(t, os.WriteFile(at("folder/given"), []byte("what may be read"), 0o644))
	must(t, os.Symlink(at("secret/key"), at("folder/out")))
	passwd, err := os.ReadFile("/etc/passwd")
	must(t, err)
	w.targets = map[string]string{
		"secret": at("secret/key"), "folder": at("folder"), "work": at("work"), "home": at("home"), "program": w.program,
		"lock": at("work/lock"), "setuid": at("folder/setuid"), "passwd": firstLine(passwd),
	}
	copyFile(t, hostile, w.program, 0o755)
	copyFile(t, hostile, w.targets["setuid"], 0o755)
	must(t, os.Chmod(w.targets["setuid"], 0o755|os.ModeSetuid))
	handle, _, err := unix.NameToHandleAt(unix.AT_FDCWD, w.targets["secret"], 0)
	must(t, err)
	w.targets["handle"] = hex.EncodeToString(append(binary.LittleEndian.AppendUint32(nil, uint32(handle.Type())), handle.Bytes()...))
	// Without O_CLOEXEC, as a careless program that starts the gateway would leave it.
	fd, err := unix.Open(w.targets["secret"], unix.O_RDONLY, 0)
	must(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
}

// open makes the sockets. Whoever says something to one is answered with the mark, in words
// that are also an answer of HTTP.
func (w *world) open(t *testing.T) {
	t.Helper()
	w.targets["abstract"] = filepath.Base(w.dir)
	for name, path := range map[string]string{"admin": "folder/state/admin.sock", "docker": "run/docker.sock", "agent": "run/agent.sock", "near": "folder/near.sock"} {
		w.targets[name] = filepath.Join(w.dir, path)
		answer(t, "unix", w.targets[name])
	}
	answer(t, "unix", "@"+w.targets["abstract"])
	w.targets["tcp4"] = answer(t, "tcp", "127.0.0.1:0")
	w.targets["tcp6"] = answer(t, "tcp", "[::1]:0")
	w.targets["allowed"], w.targets["inside"] = "allowed.example:"+port(w.targets["tcp4"]), "inside.example:"+port(w.targets["tcp4"])
	w.targets["datagram"] = filepath.Join(w.dir, "run/datagram.sock")
	for name, address := range map[string]string{"udp": "127.0.0.1:0", "dns": "127.0.0.1:0"} {
		conn, err := net.ListenPacket("udp", address)
		must(t, err)
		w.targets[name] = conn.LocalAddr().String()
		answerPackets(t, conn)
	}
	conn, err := net.ListenPacket("unixgram", w.targets["datagram"])
	must(t, err)
	answerPackets(t, conn)
}

// begin starts the victim and makes the shared memory.
func (w *world) begin(t *testing.T) {
	t.Helper()
	w.victim, w.ended = exec.Command(hostile, "hold", "0", mark), make(chan struct{})
	in, err := w.victim.StdinPipe()
	must(t, err)
	must(t, w.victim.Start())
	ended := w.ended
	victim := w.victim
	go func() { _ = victim.Wait(); close(ended) }()
	t.Cleanup(func() { _ = in.Close(); <-ended })
	w.targets["victim"] = strconv.Itoa(w.victim.Process.Pid)

	if w.targets["shm"] != "" {
		return // a second victim
	}
	key := 0x5a11<<8 | os.Getpid()&0xff
	id, err := unix.SysvShmGet(key, 4096, unix.IPC_CREAT|0o600)
	must(t, err)
	t.Cleanup(func() { _, _ = unix.SysvShmCtl(id, unix.IPC_RMID, nil) })
	data, err := unix.SysvShmAttach(id, 0, 0)
	must(t, err)
	copy(data, mark)
	must(t, unix.SysvShmDetach(data))
	w.targets["shm"] = strconv.Itoa(key)
}

// bare makes attempts with every right that this test has, one after the other.
func (w *world) bare(t *testing.T, names ...string) []report {
	t.Helper()
	w.targets["helper"] = w.targets["victim"]
	cmd := exec.CommandContext(t.Context(), w.program, w.args(names)...)
	cmd.Env = append(os.Environ(), "HOME="+w.targets["home"], "SSH_AUTH_SOCK="+w.targets["agent"])
	out, err := cmd.Output()
	return read(names, out, err)
}

func (w *world) args(names []string) []string {
	args := []string{"try", strings.Join(names, ",")}
	for key, value := range w.targets {
		args = append(args, key+"="+value)
	}
	slices.Sort(args[2:])
	return args
}

// sandboxed makes attempts in one sandbox, with the entries as its egress.
func (w *world) sandboxed(t *testing.T, names, entries []string) []report {
	t.Helper()
	w.targets["helper"] = "1"
	in, err := os.Open(os.DevNull)
	must(t, err)
	defer in.Close()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	must(t, err)
	defer out.Close()
	p, err := sandbox.Start(w.spec(names, len(entries) > 0), in, out, out, slog.New(slog.NewTextHandler(&w.log, nil)))
	if err != nil {
		t.Fatalf("start the sandbox: %v", err)
	}
	stop := time.AfterFunc(5*time.Minute, p.Kill)
	defer stop.Stop()
	if len(entries) > 0 {
		var serving sync.WaitGroup
		defer serving.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		rules, err := egress.ParseRules(entries)
		must(t, err)
		serving.Go(func() {
			if err := egress.Serve(ctx, p.Proxy(), rules, w.outside()); err != nil {
				t.Errorf("egress.Serve = %v", err)
			}
		})
	}
	ended := p.Wait()
	said, err := os.ReadFile(out.Name())
	must(t, err)
	return read(names, said, ended)
}

func (w *world) spec(names []string, proxied bool) sandbox.Spec {
	return sandbox.Spec{
		Command: w.program, Args: w.args(names), Egress: proxied,
		Read:  []string{w.targets["folder"]},
		Write: []string{w.targets["work"]},
		Hide:  []string{filepath.Join(w.targets["folder"], "state")},
		Limits: sandbox.Limits{
			MemoryBytes: 512 << 20, TmpBytes: 16 << 20, FileBytes: 32 << 20, Processes: 64, Files: 128, CPUSeconds: 2,
		},
	}
}

// outside is where allowed.example is a public host, and inside.example one that is not.
func (w *world) outside() egress.Options {
	const public = "93.184.215.14"
	return egress.Options{
		Name: "hostile", Log: slog.New(slog.NewTextHandler(&w.log, nil)),
		Resolver: resolver{"allowed.example": public, "inside.example": "127.0.0.1", "localhost": "127.0.0.1",
			"unlisted.example": public},
		Dial: func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
			address := to.String()
			if to.Addr() == netip.MustParseAddr(public) {
				address = w.targets["tcp4"]
			}
			return (&net.Dialer{}).DialContext(ctx, "tcp", address)
		},
	}
}

type resolver map[string]string

func (r resolver) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if r[host] == "" {
		return nil, errors.New("no such host")
	}
	return []netip.Addr{netip.MustParseAddr(r[host])}, nil
}

// read finds the reports in what was printed.
func read(names []string, out []byte, ended error) []report {
	said := make(map[string]report)
	for line := range bytes.Lines(out) {
		var r report
		if json.Unmarshal(line, &r) == nil {
			said[r.Attempt] = r
		}
	}
	var reports []report
	for _, name := range names {
		r, ok := said[name]
		if !ok {
			r = report{Attempt: name, Detail: fmt.Sprintf("ended without a report: %v: %.300s", ended, out), dead: true}
		}
		reports = append(reports, r)
	}
	return reports
}

// answer listens at the address and answers each connection with the mark.
func answer(t *testing.T, network, address string) string {
	t.Helper()
	l, err := net.Listen(network, address)
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(time.Minute))
				if _, err := conn.Read(make([]byte, 512)); err == nil {
					_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(mark), mark)
				}
			}()
		}
	}()
	return l.Addr().String()
}

func answerPackets(t *testing.T, conn net.PacketConn) {
	t.Helper()
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		for buffer := make([]byte, 512); ; {
			_, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			if from != nil {
				_, _ = conn.WriteTo([]byte(mark), from)
			}
		}
	}()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func port(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

func firstLine(b []byte) string {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	return string(line)
}

func copyFile(t *testing.T, from, to string, mode os.FileMode) {
	t.Helper()
	data, err := os.ReadFile(from)
	must(t, err)
	must(t, os.WriteFile(to, data, mode))
}
