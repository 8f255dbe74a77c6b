package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/debug"
)

// memstatsSocket names the variable that tells a program under test where to say how often it
// has allocated. Our own parts read it here; the gateway's binary does so in a file that is
// laid over its source for the benchmark alone (see overlay).
const memstatsSocket = "BENCH_MEMSTATS"

// memstats answers each connection with the number of allocations so far, and the bytes in use of heap
// and stacks; after a collection where anything was sent.
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
		if wish, _ := io.ReadAll(c); len(wish) > 0 {
			debug.FreeOSMemory()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		fmt.Fprintln(c, m.Mallocs, m.HeapAlloc, m.StackInuse)
		_ = c.Close()
	}
}

// overlaySource is laid beside cmd/sallyport's files when the benchmark builds the gateway, so
// that the allocations of the real program can be counted, and its processor profiled, without an
// endpoint in it.
const overlaySource = `package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
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
			if wish, _ := io.ReadAll(c); len(wish) > 0 {
				debug.FreeOSMemory()
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			fmt.Fprintln(c, m.Mallocs, m.HeapAlloc, m.StackInuse)
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

// memory is what a program's own counters say.
type memory struct {
	mallocs     uint64
	heap, stack int64 // bytes in use
}

// ask asks the program behind the socket; ok is false where it does not say. With collect it collects
// first, and gives the system back what it does not need.
func ask(socket string, collect bool) (m memory, ok bool) {
	if socket == "" {
		return m, false
	}
	c, err := net.Dial("unix", socket)
	if err != nil {
		return m, false
	}
	defer c.Close()
	if collect {
		fmt.Fprintln(c, "collect")
	}
	_ = c.(*net.UnixConn).CloseWrite()
	_, err = fmt.Fscan(c, &m.mallocs, &m.heap, &m.stack)
	return m, err == nil
}
