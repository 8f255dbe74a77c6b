//go:build unix

package config

import (
	"os"
	"os/exec"
	"syscall"

	"sallyport/gateway/upstream"
)

// bareChild is a process without a sandbox, the leader of a group.
type bareChild struct{ cmd *exec.Cmd }

func startBare(cmd *exec.Cmd, stdin, stdout, stderr *os.File) (upstream.Child, error) {
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that what it starts ends with it
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &bareChild{cmd}, nil
}

func (c *bareChild) Pid() int { return c.cmd.Process.Pid }

func (c *bareChild) Wait() error {
	err := c.cmd.Wait()
	c.Kill() // its children that stayed behind
	return err
}

func (c *bareChild) Kill() {
	_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) // gone already is what is wanted
}
