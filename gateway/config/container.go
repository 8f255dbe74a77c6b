package config

import (
	"crypto/rand"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"sallyport/gateway/upstream"
)

// container returns the arguments by which podman or docker runs the server: no network, no
// capability, nothing to write but its own /tmp and what the configuration names. The values of
// variables are not among them, since arguments are there for all to read; the runtime takes them
// from its own environment.
func (s *Server) container(name string, env []string, uid, gid int) []string {
	b := s.Sandbox
	args := []string{"run", "--rm", "--interactive", "--init", "--name", name, "--pull", "never",
		"--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
		"--user", strconv.Itoa(uid) + ":" + strconv.Itoa(gid),
		"--pids-limit", strconv.Itoa(b.Processes), "--memory", strconv.FormatInt(int64(b.Memory), 10),
		"--ulimit", fmt.Sprintf("nofile=%d", b.Files), "--ulimit", fmt.Sprintf("fsize=%d", int64(b.FileSize)),
		"--ulimit", fmt.Sprintf("cpu=%d", int64(b.CPUTime.Std().Seconds())), "--ulimit", "core=0",
		"--tmpfs", fmt.Sprintf("/tmp:rw,nosuid,nodev,size=%d,mode=1777", int64(b.Tmp)),
		"--env", "HOME=/tmp", "--env", "TMPDIR=/tmp"}
	if s.implied.runtime == "podman" && uid != 0 {
		args = append(args, "--userns", "keep-id") // the user inside is the one who owns the folders outside
	}
	for _, variable := range env {
		args = append(args, "--env", variable)
	}
	for _, path := range s.implied.read {
		args = append(args, "--mount", "type=bind,readonly,source="+path+",target="+path)
	}
	for _, path := range s.implied.write {
		args = append(args, "--mount", "type=bind,source="+path+",target="+path)
	}
	if s.implied.dir != "" {
		args = append(args, "--workdir", s.implied.dir)
	}
	return append(append(args, b.Image, s.Command), s.Args...)
}

// contained is a server in a container. Killing the runtime's own process would leave the
// container behind.
type contained struct {
	upstream.Child
	runtime, name string
}

// Kill ends the container and then the process that stands for it.
func (c *contained) Kill() {
	_ = exec.Command(c.runtime, "kill", c.name).Run() // gone already is what is wanted
	c.Child.Kill()
}

func (l *launcher) startContainer(env map[string]string, stdin, stdout, stderr *os.File) (upstream.Child, error) {
	name := "sallyport-" + l.name + "-" + strings.ToLower(rand.Text()[:12])
	cmd := l.bare(env)
	cmd.Args = append([]string{cmd.Path}, l.server.container(name, slices.Sorted(maps.Keys(env)), os.Getuid(), os.Getgid())...)
	for _, own := range []string{"XDG_RUNTIME_DIR", "DOCKER_HOST", "DOCKER_CONFIG", "CONTAINER_HOST"} { // where the runtime is
		if value, ok := l.environ[own]; ok {
			cmd.Env = append(cmd.Env, own+"="+value)
		}
	}
	cmd.Dir = ""
	child, err := startBare(cmd, stdin, stdout, stderr)
	if err != nil {
		return nil, err
	}
	return &contained{child, cmd.Path, name}, nil
}
