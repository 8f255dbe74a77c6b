package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// memstatsSocket names the variable that tells a program under test where to say how often it
// has allocated. Our own parts read it here; the gateway's binary does so in a file that is
// laid over its source for the benchmark alone (see overlay).
const memstatsSocket = "BENCH_MEMSTATS"

// memstats answers each connection with the number of allocations so far.
func memstats() {
	path := os.Getenv(memstatsSocket)
	if path == "" {
		return
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		fmt.Fprint(c, m.Mallocs)
		_ = c.Close()
	}
}

// overlaySource is laid beside cmd/sallyport's files when the benchmark builds the gateway, so
// that the allocations of the real program can be counted, and its processor profiled, without an
// endpoint in it.
const overlaySource = `package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"syscall"
)

func init() {
	go profile(os.Getenv("BENCH_PROFILE"))
	path := os.Getenv("BENCH_MEMSTATS")
	if path == "" {
		return
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			fmt.Fprint(c, m.Mallocs)
			_ = c.Close()
		}
	}()
}

// profile writes what the processor does from one signal to the next.
func profile(file string) {
	if file == "" {
		return
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR2)
	<-signals
	f, err := os.Create(file + ".part")
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	if err != nil {
		panic(err)
	}
	<-signals
	pprof.StopCPUProfile()
	if err := f.Close(); err != nil {
		panic(err)
	}
	if err := os.Rename(file+".part", file); err != nil {
		panic(err)
	}
}
`

// mallocs asks the program behind the socket; ok is false where it does not say.
func mallocs(socket string) (n uint64, ok bool) {
	if socket == "" {
		return 0, false
	}
	c, err := net.Dial("unix", socket)
	if err != nil {
		return 0, false
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	if err != nil {
		return 0, false
	}
	n, err = strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	return n, err == nil
}
