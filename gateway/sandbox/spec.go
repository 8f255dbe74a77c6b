package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Spec is all that a program may do. What it does not name is denied; the zero Spec runs nothing.
type Spec struct {
	Name    string            // of the server, for the log
	Command string            // absolute path of the program
	Args    []string          // without the program
	Env     map[string]string // beside PATH, HOME, TMPDIR and LANG, which it may override
	Dir     string            // working directory inside; "" is HOME
	Read    []string          // files and directories that it may read and execute; absolute, existing
	Write   []string          // and those that it may change as well
	Egress  bool              // sockets to ProxyAddr, whose listener the caller serves; else none at all
	Hide    []string          // never visible, also below Read and Write, whatever is in it later
	Own     []Own             // what is visible all the same, below Hide
	Limits  Limits

	// What an agent needs beside what a server does.

	Home     string   // HOME inside, of its own and empty; "" is the constant Home
	Copy     []string // files below Home that it gets a copy of, to change and lose
	Relay    bool     // a second listener for the caller to serve, at RelayAddr; only with Egress
	Loopback bool     // any port of its own loopback, where nothing of the machine listens; only with Egress
	Terminal bool     // stdin is a terminal that nobody else has, and becomes its controlling terminal
}

// Own is a directory that the gateway keeps for the program.
type Own struct {
	Path  string
	Write bool
}

// Limits bound a program and all that it starts. Zero fields take the defaults.
type Limits struct {
	MemoryBytes int64 `json:",omitempty"` // default 1 GiB: of all together where cgroups can be used, of each process else
	TmpBytes    int64 `json:",omitempty"` // of /tmp, /dev/shm and HOME together; default 128 MiB
	FileBytes   int64 `json:",omitempty"` // of one file; default 1 GiB
	Processes   int   `json:",omitempty"` // and threads; default 256
	Files       int   `json:",omitempty"` // open descriptors of a process; default 1024
	CPUSeconds  int   `json:",omitempty"` // of one process; default 3600
}

func (l Limits) orDefault() Limits {
	for _, f := range []struct {
		at    *int64
		value int64
	}{{&l.MemoryBytes, 1 << 30}, {&l.TmpBytes, 128 << 20}, {&l.FileBytes, 1 << 30}} {
		if *f.at <= 0 {
			*f.at = f.value
		}
	}
	for _, f := range []struct {
		at    *int
		value int
	}{{&l.Processes, 256}, {&l.Files, 1024}, {&l.CPUSeconds, 3600}} {
		if *f.at <= 0 {
			*f.at = f.value
		}
	}
	return l
}

const (
	// ProxyAddr is where a program with Egress finds its proxy.
	ProxyAddr = "127.0.0.1:3128"
	// RelayAddr is where a program with a Relay finds it.
	RelayAddr = "127.0.0.1:3129"
	// Home is HOME inside: a directory of its own, empty at the start.
	Home = "/home/sandbox"
)

// maxCopy bounds one file of Copy, in bytes.
const maxCopy = 64 << 20

func (s Spec) home() string {
	if s.Home == "" {
		return Home
	}
	return s.Home
}

// base is what every program may read, where the machine has it. What is in /etc/alternatives are links
// from /usr to /usr.
var base = []string{"/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin",
	"/etc/ld.so.cache", "/etc/ssl/certs", "/etc/pki/tls/certs", "/etc/localtime",
	"/etc/alternatives"}

// scratches are the program's own beside HOME. /dev/shm is where programs of several processes
// share memory.
var scratches = []string{"/tmp", "/dev/shm"}

// Check says what is wrong with the spec, or nil.
func (s Spec) Check() error {
	var errs []error
	if err := checkCommand(s.Command); err != nil {
		errs = append(errs, err)
	} else if err := s.astray(s.Command); err != nil {
		errs = append(errs, fmt.Errorf("command: %w", err))
	}
	for _, list := range []struct {
		name  string
		paths []string
	}{{"read", s.Read}, {"write", s.Write}} {
		for _, path := range list.paths {
			if err := s.checkPath(path); err != nil {
				errs = append(errs, fmt.Errorf("sandbox.%s: %w", list.name, err))
			} else if list.name == "write" {
				errs = append(errs, s.checkWrite(path))
			}
		}
	}
	for _, o := range s.Own {
		if !filepath.IsAbs(o.Path) || !isDir(o.Path) {
			errs = append(errs, fmt.Errorf("sandbox: %s, which the gateway keeps for the server, is no directory", o.Path))
		}
	}
	errs = append(errs, s.checkHome())
	for i, arg := range s.Args {
		if strings.Contains(arg, "\x00") {
			errs = append(errs, fmt.Errorf("args.%d holds a NUL byte, where a program would see its end", i))
		}
	}
	for name, value := range s.Env {
		if strings.Contains(value, "\x00") {
			errs = append(errs, fmt.Errorf("env.%s holds a NUL byte, where a program would see its end", name))
		}
		if name == "" || strings.ContainsAny(name, "=\x00") {
			errs = append(errs, fmt.Errorf("env: %q is no name of a variable", name))
		}
	}
	return errors.Join(errs...)
}

// checkHome says what is wrong with HOME and what is copied to it, or nil.
func (s Spec) checkHome() error {
	home := s.home()
	if !filepath.IsAbs(home) || filepath.Clean(home) != home || ofBase(home) || within(home, "/etc") ||
		slices.ContainsFunc(own, func(dir string) bool { return within(home, dir) }) ||
		slices.ContainsFunc(scratches, func(dir string) bool { return within(dir, home) }) {
		return fmt.Errorf("home: %q cannot be a program's own", home)
	}
	if real, err := filepath.EvalSymlinks(home); err == nil && real != home {
		return fmt.Errorf("home: %s is reached by a link; name %s", home, real)
	}
	for _, path := range slices.Concat(s.Read, s.Write) {
		if within(home, path) {
			return fmt.Errorf("home: %s would be shown whole, as a part of %s", home, path)
		}
	}
	for _, path := range s.Copy {
		info, err := os.Lstat(path)
		switch {
		case err != nil:
			return fmt.Errorf("copy: %w", err)
		case !within(path, home) || filepath.Clean(path) != path || !info.Mode().IsRegular() || info.Size() > maxCopy:
			return fmt.Errorf("copy: %s is not a file below %s of at most %d MiB", path, home, maxCopy>>20)
		}
	}
	if (s.Relay || s.Loopback) && !s.Egress {
		return errors.New("a relay or a loopback needs egress: there is no network without")
	}
	return nil
}

func checkCommand(command string) error {
	if !filepath.IsAbs(command) {
		return fmt.Errorf("command: %q is not an absolute path", command)
	}
	info, err := os.Stat(command)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("command: %s does not exist", command)
	case err != nil:
		return fmt.Errorf("command: %w", err)
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return fmt.Errorf("command: %s is not a program (it cannot be executed)", command)
	}
	return nil
}

// own is what is made anew inside, and cannot be the machine's.
var own = []string{"/proc", "/dev", "/sys"}

func (s Spec) checkPath(path string) error {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path {
		return fmt.Errorf("%q is not an absolute path in its shortest form", path)
	}
	real, err := filepath.EvalSymlinks(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s does not exist", path)
	case err != nil:
		return err
	}
	for _, p := range []string{path, real} {
		if p == "/" {
			return fmt.Errorf("%s is everything; name what the server needs", path)
		}
		for _, o := range own {
			if within(p, o) {
				return fmt.Errorf("%s is the machine's %s, which a sandbox has of its own", path, o)
			}
		}
	}
	info, err := os.Stat(real)
	if err != nil {
		return err
	}
	if !info.IsDir() && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is neither a file nor a directory", path)
	}
	for _, hidden := range s.Hide {
		if within(real, hidden) {
			return fmt.Errorf("%s is the gateway's own and stays out of every sandbox", path)
		}
	}
	return s.astray(path)
}

// checkWrite refuses what holds something hidden: who may write a directory may put another in its
// place.
func (s Spec) checkWrite(path string) error {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	for _, hidden := range s.Hide {
		at, err := filepath.EvalSymlinks(hidden)
		if err != nil {
			at = hidden
		}
		if within(at, real) {
			return fmt.Errorf("sandbox.write: %s holds %s, which is the gateway's own; name a directory beside it", path, hidden)
		}
	}
	return nil
}

// within reports whether path is dir or below it.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// ofBase reports whether every program may read path.
func ofBase(path string) bool {
	return slices.ContainsFunc(base, func(dir string) bool { return within(path, dir) })
}

// astray returns an error where path leads out of a folder that the server may write: an earlier
// run of it could have made that link, to have the next one shown whatever it likes. What is shown
// anyway may be led to.
func (s Spec) astray(path string) error {
	real, err := filepath.EvalSymlinks(path)
	if err != nil || ofBase(real) {
		return nil
	}
	for _, dir := range s.Write {
		realDir, err := filepath.EvalSymlinks(dir)
		if err != nil || within(real, realDir) || !passes(path, realDir) {
			continue
		}
		shown := func(p string) bool { return !within(p, dir) && !within(p, realDir) && within(real, p) }
		if !slices.ContainsFunc(s.Read, shown) && !slices.ContainsFunc(s.Write, shown) {
			return fmt.Errorf("%s leads to %s, out of %s, where the server itself could have put that link; name %[2]s in its place, or take the link away",
				path, real, dir)
		}
	}
	return nil
}

// mostLinks bounds a way: links can change while they are followed, and then lead in a circle.
const mostLinks = 255

// passes reports whether a link that lies below dir is on the way along path. The way matters and not how
// path is spelled: a link beside dir may lead into it. Path must lead somewhere, and dir have no link in it.
func passes(path, dir string) bool {
	at, rest := "/", strings.Split(path, "/")
	for links := 0; len(rest) > 0; {
		next := filepath.Join(at, rest[0])
		rest = rest[1:]
		target, err := os.Readlink(next)
		switch {
		case err != nil: // no link
			at = next
			continue
		case within(next, dir), links == mostLinks:
			return true
		case filepath.IsAbs(target):
			at = "/"
		}
		rest = slices.Concat(strings.Split(target, "/"), rest)
		links++
	}
	return false
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// environ is the program's environment, sorted.
func (s Spec) environ() []string {
	path := "/usr/local/bin:/usr/bin:/bin"
	if dir := filepath.Dir(s.Command); !within(dir, "/usr") && dir != "/bin" {
		path = dir + ":" + path
	}
	env := map[string]string{"PATH": path, "HOME": s.home(), "TMPDIR": "/tmp", "LANG": "C.UTF-8"}
	if s.Egress {
		for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
			env[name] = "http://" + ProxyAddr
		}
		env["NODE_USE_ENV_PROXY"] = "1"
	}
	for k, v := range s.Env {
		env[k] = v
	}
	out := make([]string, 0, len(env))
	for k, v := range env {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return out
}

// Part is one mechanism of the sandbox on this machine.
type Part struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	Cure   string `json:"cure,omitempty"` // what to do where it is missing
}

// Report is what this machine can do.
type Report struct {
	OK    bool   `json:"ok"` // everything that is required
	Parts []Part `json:"parts"`
}

// Missing is the error of a machine that cannot isolate a program, or nil.
func (r Report) Missing() error {
	if r.OK {
		return nil
	}
	for _, p := range r.Parts {
		if !p.OK {
			return &MissingError{p}
		}
	}
	return &MissingError{Part{Name: "sandbox", Detail: "not checked"}}
}

// MissingError says which mechanism a machine lacks.
type MissingError struct{ Part Part }

func (e *MissingError) Error() string {
	cure := ""
	if e.Part.Cure != "" {
		cure = " (" + e.Part.Cure + ")"
	}
	return fmt.Sprintf("this machine cannot isolate a server: %s: %s%s. `sandbox: container` runs it in docker or podman; "+
		"`sandbox: none` runs it with every right that the gateway has. `sallyport sandbox check` says more", e.Part.Name, e.Part.Detail, cure)
}

func discard(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}
