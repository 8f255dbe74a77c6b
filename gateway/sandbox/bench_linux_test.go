package sandbox

import (
	"os/exec"
	"testing"
	"time"
)

// BenchmarkStart compares starting a program in a sandbox with starting it bare. The helper here
// is the test's binary, whose own start is shorter than the gateway's.
func BenchmarkStart(b *testing.B) {
	for _, c := range []struct {
		name, command string
		args          []string
	}{{"true", "/bin/true", nil}, {"node", "/usr/bin/node", []string{"-e", "require('http');require('crypto');require('zlib')"}}} {
		b.Run(c.name+"/bare", func(b *testing.B) {
			for b.Loop() {
				cmd := exec.Command(c.command, c.args...)
				cmd.Env = []string{"PATH=/usr/bin:/bin"}
				if err := cmd.Run(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.name+"/sandbox", func(b *testing.B) {
			var l Launcher
			defer l.Close()
			for b.Loop() {
				b.StopTimer()
				time.Sleep(refill + 50*time.Millisecond) // the next helper gets ready while nobody waits
				b.StartTimer()
				p, err := l.Start(Spec{Command: c.command, Args: c.args}, nil, nil, nil, nil)
				if err != nil {
					b.Fatal(err)
				}
				if err := p.Wait(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
