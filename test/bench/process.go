package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a program under test.
type process struct {
	cmd      *exec.Cmd
	addr     string // where it takes calls
	memstats string // its socket; "" where it has none
	log      string // file with its standard error
}

// start runs a program in dir with its own process group.
func start(ctx context.Context, dir, name string, env []string, argv ...string) (*process, error) {
	p := &process{log: filepath.Join(dir, name+".log")}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd = exec.CommandContext(ctx, argv[0], argv[1:]...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stderr = log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Cancel = func() error { return syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) }
	return p, nil
}

// startOwn runs this binary in one of its roles, and waits for the address that it prints.
func startOwn(ctx context.Context, dir, name string, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(dir, name+".sock")
	p, err := start(ctx, dir, name, []string{memstatsSocket + "=" + socket}, append([]string{self}, args...)...)
	if err != nil {
		return nil, err
	}
	p.memstats = socket
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("start %s: %w; see %s", name, err, p.log)
	}
	p.addr = strings.TrimSpace(line)
	return p, nil
}

// stop ends the process and all its children.
func (p *process) stop() {
	if p != nil && p.cmd.Process != nil {
		_ = p.cmd.Cancel()
		_ = p.cmd.Wait()
	}
}

// ready waits until url answers 200.
func (p *process) ready(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			text, _ := os.ReadFile(p.log)
			return fmt.Errorf("not ready: %.2000s", text)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// usage is what a process and its children have used so far.
type usage struct {
	cpu     time.Duration
	mallocs uint64
	counts  bool  // mallocs is known
	rss     int64 // KiB, now
}

// clockTick is the unit of the times in /proc/PID/stat: 1/100 s on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

func (p *process) usage() (usage, error) {
	var u usage
	for _, pid := range family(p.cmd.Process.Pid) {
		cpu, rss, err := stat(pid)
		if err != nil {
			return u, err
		}
		u.cpu += cpu
		u.rss += rss
	}
	m, counts := ask(p.memstats, false)
	u.mallocs, u.counts = m.mallocs, counts
	return u, nil
}

// family is a process and its children.
func family(pid int) []int {
	pids := []int{pid}
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, f := range strings.Fields(string(text)) {
		if child, err := strconv.Atoi(f); err == nil {
			pids = append(pids, child)
		}
	}
	return pids
}

func stat(pid int) (cpu time.Duration, rssKiB int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	// The name in parentheses may hold anything; what follows it counts from field 3.
	_, rest, ok := bytes.Cut(text, []byte(") "))
	fields := strings.Fields(string(rest))
	if !ok || len(fields) < 22 {
		return 0, 0, errors.New("/proc/PID/stat has too few fields")
	}
	user, err1 := strconv.ParseInt(fields[14-3], 10, 64)
	system, err2 := strconv.ParseInt(fields[15-3], 10, 64)
	pages, err3 := strconv.ParseInt(fields[24-3], 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil {
		return 0, 0, err
	}
	return time.Duration(user+system) * clockTick, pages * int64(os.Getpagesize()) / 1024, nil
}
