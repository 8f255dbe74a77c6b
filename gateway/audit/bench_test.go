package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
)

func callRecord() *Record {
	r := decision("01JABCDEFGHJKMNPQRSTVWXYZ0")
	r.Method, r.Server, r.Tool = "tools/call", "files", "read_file"
	r.ToolDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	r.ArgumentsDigest = "hmac-sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	r.Subject, r.Client, r.JTI = "alice", "claude-code", "01JABCDEFGHJKMNPQRSTVWXYZ1"
	r.Roles, r.Rules = []string{"reader"}, []string{"authz.rego:10"}
	return r
}

// onlyCode is a disk that costs nothing, so that a benchmark shows what the code costs.
type onlyCode struct{ realDisk }

func (onlyCode) Create(string) (file, error) { return noFile{}, nil }

type noFile struct{}

func (noFile) Write(p []byte) (int, error) { return len(p), nil }
func (noFile) Sync() error                 { return nil }
func (noFile) Truncate(int64) error        { return nil }
func (noFile) Reserve(int64, int64) error  { return nil }
func (noFile) Close() error                { return nil }

func BenchmarkDecide(b *testing.B) {
	for _, d := range []struct {
		name string
		disk disk
	}{{"disk", realDisk{}}, {"code", onlyCode{}}} {
		for _, callers := range []int{1, 16, 128} {
			b.Run(fmt.Sprintf("%s/callers=%d", d.name, callers), func(b *testing.B) {
				benchDecide(b, d.disk, callers)
			})
		}
	}
}

func benchDecide(b *testing.B, under disk, callers int) {
	d := &counting{disk: under}
	l := open(b, filepath.Join(b.TempDir(), "audit"), Options{disk: d})
	r := callRecord()
	work := make(chan struct{}, callers)
	done := make(chan struct{})
	for range callers {
		go func() {
			defer func() { done <- struct{}{} }()
			for range work {
				if err := l.Decide(context.Background(), r); err != nil {
					b.Error(err)
				}
			}
		}()
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		work <- struct{}{}
	}
	close(work)
	for range callers {
		<-done
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/float64(max(d.syncs, 1)), "decisions/sync")
}

type counting struct {
	disk
	syncs int64 // by the writer alone, read when nobody decides
}

func (c *counting) Create(path string) (file, error) {
	f, err := c.disk.Create(path)
	return countingFile{f, c}, err
}

type countingFile struct {
	file
	c *counting
}

func (f countingFile) Sync() error {
	f.c.syncs++
	return f.file.Sync()
}

func BenchmarkNote(b *testing.B) {
	l := open(b, filepath.Join(b.TempDir(), "audit"), Options{})
	r := callRecord()
	full := 0
	b.ReportAllocs()
	for b.Loop() {
		if l.Note(r) != nil {
			full++
		}
	}
	b.ReportMetric(100*float64(full)/float64(b.N), "%dropped")
}

func BenchmarkRefused(b *testing.B) {
	l := open(b, filepath.Join(b.TempDir(), "audit"), Options{})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l.Refused("192.0.2.1", "unauthenticated")
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	r := callRecord()
	r.Arguments = json.RawMessage(`{"path": "/srv/notes/today.md", "limit": 20}`)
	r.Obligations = []json.RawMessage{json.RawMessage(`{"type":"max_bytes","n":1000}`)}
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = appendTail(buf[:0], r)
	}
	b.SetBytes(int64(len(buf)))
}

func TestEncodingAllocatesNothing(t *testing.T) {
	r := fullRecord()
	r.Obligations, r.Arguments, r.Input, r.Advisory, r.Shadow = nil, nil, nil, nil, nil // json.Valid's pool forgets on purpose under -race; the benchmark has them
	buf := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() { buf = appendTail(buf[:0], &r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkDigest(b *testing.B) {
	l := open(b, filepath.Join(b.TempDir(), "audit"), Options{})
	args := []byte(`{"path": "/srv/notes/today.md", "limit": 20}`)
	b.ReportAllocs()
	for b.Loop() {
		l.Digest(args)
	}
}
