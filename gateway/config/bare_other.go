//go:build !unix

package config

import (
	"os"
	"os/exec"

	"sallyport/gateway/upstream"
)

// bareChild is a process without a sandbox.
type bareChild struct{ cmd *exec.Cmd }

func startBare(cmd *exec.Cmd, stdin, stdout, stderr *os.File) (upstream.Child, error) {
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &bareChild{cmd}, nil
}

func (c *bareChild) Pid() int { return c.cmd.Process.Pid }

func (c *bareChild) Wait() error { return c.cmd.Wait() }

func (c *bareChild) Kill() { _ = c.cmd.Process.Kill() } // gone already is what is wanted
