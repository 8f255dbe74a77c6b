package strictjson

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// What this scanner accepts, everybody reads alike: the same names, the same texts, the same numbers.
// A document that two parsers could read differently must be one that it refuses.

var agreeSeeds = []string{
	`{"a":1,"b":[true,null,"x"],"c":{"d":-0.5e-3}}`, `{"__proto__":{"x":1},"constructor":2}`, `{"10":1,"9":2,"a":3}`,
	`"\u0000\u001f\u2028\u2029\ud83d\ude00é"`, `[1e308,-1e-308,123456789012345678901234567890,0.1,-0]`, `"\ud800"`, `{"a":1,"a":2}`,
	`{"a":1,"\u0061":2}`, "\ufeff{}", `[1,]`, `{"a":1}x`, `/**/1`, `NaN`, `01`, `1.`, `"\x41"`, "\"\xff\"", "[\"\t\"]", `{"a" :1 }`, "1e400", `{"":0}`,
}

// reading is a document in one form that every parser can be asked for: members by name, texts as hex of
// their UTF-8, numbers as the bits of their nearest double.
func reading(data []byte) (string, error) {
	var b strings.Builder
	err := ours(&b, bytes.Trim(data, " \t\r\n"))
	return b.String(), err
}

func ours(b *strings.Builder, v []byte) error {
	switch v[0] {
	case '{':
		members, err := Object(v)
		if err != nil {
			return err
		}
		slices.SortFunc(members, func(x, y Member) int { return strings.Compare(x.Name, y.Name) })
		b.WriteByte('{')
		for _, m := range members {
			fmt.Fprintf(b, "%s:", hex.EncodeToString([]byte(m.Name)))
			if err := ours(b, m.Value().Of(v)); err != nil {
				return err
			}
		}
		b.WriteByte('}')
	case '[':
		spans, err := Array(v)
		if err != nil {
			return err
		}
		b.WriteByte('[')
		for _, s := range spans {
			if err := ours(b, s.Of(v)); err != nil {
				return err
			}
		}
		b.WriteByte(']')
	case '"':
		s, err := String(v)
		if err != nil {
			return err
		}
		fmt.Fprintf(b, "s%s,", hex.EncodeToString([]byte(s)))
	case 't', 'f', 'n':
		fmt.Fprintf(b, "%s,", v)
	default:
		number(b, string(v))
	}
	return nil
}

func number(b *strings.Builder, text string) {
	f, _ := strconv.ParseFloat(text, 64) // out of range it is infinite, as everywhere
	fmt.Fprintf(b, "d%016x,", math.Float64bits(f))
}

// theirs is the same form of what encoding/json has read.
func theirs(b *strings.Builder, v any) {
	switch v := v.(type) {
	case map[string]any:
		names := make([]string, 0, len(v))
		for n := range v {
			names = append(names, n)
		}
		slices.Sort(names)
		b.WriteByte('{')
		for _, n := range names {
			fmt.Fprintf(b, "%s:", hex.EncodeToString([]byte(n)))
			theirs(b, v[n])
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for _, e := range v {
			theirs(b, e)
		}
		b.WriteByte(']')
	case string:
		fmt.Fprintf(b, "s%s,", hex.EncodeToString([]byte(v)))
	case json.Number:
		number(b, string(v))
	case nil:
		b.WriteString("null,")
	default:
		fmt.Fprintf(b, "%v,", v)
	}
}

func FuzzAgreesWithEncodingJSON(f *testing.F) {
	for _, s := range agreeSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if Check(data, Limits{}) != nil {
			return
		}
		want, err := reading(data)
		if err != nil {
			t.Fatalf("%q is accepted and cannot be read: %v", data, err)
		}
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			t.Fatalf("%q is accepted, and encoding/json says: %v", data, err)
		}
		var got strings.Builder
		theirs(&got, v)
		if got.String() != want {
			t.Errorf("%q: encoding/json reads\n%s\nwe read\n%s", data, got.String(), want)
		}
	})
}

// node is one long-lived process that reads documents as JSON.parse does.
type node struct {
	mu  sync.Mutex
	in  io.Writer
	out *bufio.Reader
}

const nodeReads = `
const bits = n => { const d = new DataView(new ArrayBuffer(8)); d.setFloat64(0, n); return d.getBigUint64(0).toString(16).padStart(16, '0') }
const hex = s => Buffer.from(s, 'utf8').toString('hex')
const form = v => v === null || typeof v === 'boolean' ? v + ',' : typeof v === 'number' ? 'd' + bits(v) + ',' : typeof v === 'string' ? 's' + hex(v) + ','
  : Array.isArray(v) ? '[' + v.map(form).join('') + ']'
  : '{' + Object.keys(v).map(k => [hex(k), v[k]]).sort((a, b) => a[0] < b[0] ? -1 : 1).map(([k, e]) => k + ':' + form(e)).join('') + '}'
require('readline').createInterface({input: process.stdin, terminal: false}).on('line', l => {
  let out
  try { out = form(JSON.parse(new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(Buffer.from(l, 'hex')))) } catch (e) { out = 'refused: ' + String(e.message).replace(/\n/g, ' ') }
  process.stdout.write(out + '\n')
})`

// startNode finds Node: the system's, or the one that the end-to-end tests install.
func startNode(f *testing.F) *node {
	f.Helper()
	program, err := exec.LookPath("node")
	if err != nil {
		program = filepath.Join("..", "..", ".cache", "clients", "node_modules", "node", "bin", "node")
		if _, err := os.Stat(program); err != nil {
			if os.Getenv("CI") == "true" {
				f.Fatal("no node: `make e2e-tools` installs one")
			}
			f.Skip("no node: `make e2e-tools` installs one")
		}
	}
	cmd := exec.Command(program, "-e", nodeReads)
	in, err := cmd.StdinPipe()
	if err != nil {
		f.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		f.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	return &node{in: in, out: bufio.NewReaderSize(out, 1<<20)}
}

func (n *node) reads(t *testing.T, data []byte) string {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, err := fmt.Fprintln(n.in, hex.EncodeToString(data)); err != nil {
		t.Fatal(err)
	}
	line, err := n.out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(line, "\n")
}

func FuzzAgreesWithNode(f *testing.F) {
	n := startNode(f)
	for _, s := range agreeSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if Check(data, Limits{}) != nil {
			return
		}
		want, err := reading(data)
		if err != nil {
			t.Fatalf("%q is accepted and cannot be read: %v", data, err)
		}
		if got := n.reads(t, data); got != want {
			t.Errorf("%q: Node reads\n%s\nwe read\n%s", data, got, want)
		}
	})
}
