package upstream

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"sallyport/gateway"
	"sallyport/gateway/wire"
)

// cheapStdioServer answers as fast as a program can: it looks for nothing but the id, and writes
// when it has read all that waits.
func cheapStdioServer() {
	in, out := bufio.NewReaderSize(os.Stdin, 1<<20), bufio.NewWriterSize(os.Stdout, 1<<20)
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return
		}
		_, rest, _ := bytes.Cut(line, []byte(`"id":`))
		id, _, _ := bytes.Cut(rest, []byte(","))
		if len(id) > 0 {
			_, _ = out.WriteString(`{"jsonrpc":"2.0","id":`)
			_, _ = out.Write(id)
			_, _ = out.WriteString(`,"result":{"protocolVersion":"2025-11-25","capabilities":{},"content":[{"type":"text","text":"`)
			_, _ = out.WriteString("done\"}]}}\n")
		}
		if in.Buffered() == 0 {
			_ = out.Flush()
		}
	}
}

// Calls to a program that costs next to nothing, by callers that share its process; and the same
// lines over a bare pipe, as many at a time, which is all that could be gained.
func BenchmarkStdioCall(b *testing.B) {
	for _, size := range []int{100, 10 << 10} {
		for _, callers := range []int{1, 16, 256} {
			b.Run(fmt.Sprintf("size=%d/callers=%d/by=upstream", size, callers), func(b *testing.B) { benchStdio(b, size, callers) })
			b.Run(fmt.Sprintf("size=%d/callers=%d/by=pipe", size, callers), func(b *testing.B) { benchPipe(b, size, callers) })
		}
	}
}

// benchPipe keeps a number of lines under way.
func benchPipe(b *testing.B, size, callers int) {
	in, err := newPipes()
	if err != nil {
		b.Fatal(err)
	}
	child, err := startAs("cheap", nil, in.stdin[0], in.stdout[1], in.stderr[1])
	in.closeTheirs()
	if err != nil {
		b.Fatal(err)
	}
	line := []byte(toolCall("1", "echo", strings.Repeat("x", size)) + "\n")
	answers := bufio.NewReaderSize(in.stdout[0], 64<<10)
	free := make(chan struct{}, callers)
	for range callers {
		free <- struct{}{}
	}
	var writer sync.WaitGroup
	b.ResetTimer()
	writer.Go(func() {
		var batch []byte
		for left := b.N; left > 0; {
			<-free
			batch = append(batch[:0], line...)
			for left--; left > 0 && len(free) > 0; left-- {
				<-free
				batch = append(batch, line...)
			}
			if _, err := in.stdin[1].Write(batch); err != nil {
				b.Error(err)
				return
			}
		}
	})
	for range b.N {
		if _, err := answers.ReadSlice('\n'); err != nil {
			b.Fatal(err)
		}
		free <- struct{}{}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
	writer.Wait()
	in.closeOurs()
	_ = child.Wait()
}

func benchStdio(b *testing.B, size, callers int) {
	s := ours(b, "cheap", func(c *StdioConfig) { c.Instance = Shared })
	session := begin(b, s, gateway.Party{Key: "k"}, `{}`)
	out := legacyPost(gateway.Party{Key: "k"}, session, toolCall("1", "echo", strings.Repeat("x", size)))
	var refused *wire.Error
	if out.Message, refused = wire.Decode(out.Body, out.Header, wire.Limits{}); refused != nil {
		b.Fatal(refused)
	}
	if _, err := talk(b.Context(), s, out); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var left atomic.Int64
	left.Store(int64(b.N))
	var all sync.WaitGroup
	b.ResetTimer()
	for range callers {
		all.Go(func() {
			buf := make([]byte, 4096)
			for left.Add(-1) >= 0 {
				reply, err := s.exchange(context.Background(), out)
				if err != nil {
					b.Error(err)
					return
				}
				if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, reply.Body, buf); err != nil {
					b.Error(err)
				}
				_ = reply.Body.Close()
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}
