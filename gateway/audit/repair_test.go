package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// whole is a whole line of the given number.
func whole(seq int) string {
	return fmt.Sprintf(`{"seq":%d`, seq) + string(appendTail(nil, decision("old")))
}

func TestStartMendsWhatACrashLeft(t *testing.T) {
	const name = "00000000000000000001.jsonl"
	for _, tt := range []struct {
		what   string
		files  map[string]string
		report string // "" for none
		next   uint64
		kept   string // of the first segment
		torn   string
	}{
		{"nothing", nil, "", 1, "", ""},
		{"a clean end", map[string]string{name: whole(1) + whole(2)}, "", 3, whole(1) + whole(2), ""},
		{"an empty segment after a full one", map[string]string{name: whole(1), segmentName(2): ""}, "", 2, whole(1), ""},
		{"an empty segment that a failure left, with numbers beyond it", map[string]string{name: whole(1) + whole(2) + whole(3), segmentName(2): ""},
			"", 4, whole(1) + whole(2) + whole(3), ""},
		{"a torn line", map[string]string{name: whole(1) + `{"seq":2,"ti`},
			"the last line of " + name + " was torn; its 12 bytes are in " + name + ".torn", 2, whole(1), `{"seq":2,"ti` + "\n"},
		{"nothing but a torn line", map[string]string{name: `{"se`},
			"the last line of " + name + " was torn; its 4 bytes are in " + name + ".torn", 1, "", "{\"se\n"},
		{"a torn line before an empty segment", map[string]string{name: whole(1) + `{"s`, segmentName(3): ""},
			"the last line of " + name + " was torn; its 3 bytes are in " + name + ".torn", 3, whole(1), "{\"s\n"},
		{"a hole from a power cut", map[string]string{name: whole(1) + "{\"s\x00\x00\x00}\n" + whole(3)},
			fmt.Sprintf("the end of %s had a hole; its %d bytes, with 1 whole records that nobody was told of, are in %[1]s.torn", name, 8+len(whole(3))),
			4, whole(1), "{\"s\x00\x00\x00}\n" + whole(3) + "\n"},
		{"nothing but NULs at the end", map[string]string{name: whole(1) + "\x00\x00\x00\x00"},
			"the last line of " + name + " was torn; its 4 bytes are in " + name + ".torn", 2, whole(1), "\x00\x00\x00\x00\n"},
		{"garbage in the middle", map[string]string{name: whole(1) + "hello\n" + whole(3)},
			"1 lines of " + name + " are no records or not in order: somebody or the disk has changed them; they are left as they are",
			4, whole(1) + "hello\n" + whole(3), ""},
		{"a hole at the beginning of a line", map[string]string{name: whole(1) + "\x00}\n" + whole(3)},
			fmt.Sprintf("the end of %s had a hole; its %d bytes, with 1 whole records that nobody was told of, are in %[1]s.torn", name, 3+len(whole(3))),
			4, whole(1), "\x00}\n" + whole(3) + "\n"},
		{"a number given twice", map[string]string{name: whole(1) + whole(1) + whole(2)},
			"1 lines of " + name + " are no records or not in order: somebody or the disk has changed them; they are left as they are",
			3, whole(1) + whole(1) + whole(2), ""},
		{"lines out of order", map[string]string{name: whole(1) + whole(7) + whole(2)},
			"1 lines of " + name + " are no records or not in order: somebody or the disk has changed them; they are left as they are",
			8, whole(1) + whole(7) + whole(2), ""},
		{"a damaged segment that was moved aside", map[string]string{name: whole(1), segmentName(2) + damagedSuffix: strings.Repeat("x", 10*minLine)},
			"", 13, whole(1), ""},
	} {
		t.Run(tt.what, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "audit")
			write(t, dir, tt.files)
			l := open(t, dir, Options{})
			if l.Report() != tt.report {
				t.Errorf("report %q; want %q", l.Report(), tt.report)
			}
			if err := errors.Join(l.Decide(t.Context(), decision("new")), l.Close()); err != nil {
				t.Fatal(err)
			}
			data, _ := os.ReadFile(filepath.Join(dir, segmentName(tt.next)))
			if !strings.HasPrefix(string(data), fmt.Sprintf(`{"seq":%d,`, tt.next)) {
				t.Errorf("the segment of number %d begins %.40q", tt.next, data)
			}
			if recorded := strings.Contains(string(data), `"phase":"repair"`) && strings.Contains(string(data), tt.report); recorded != (tt.report != "") {
				t.Errorf("the record has %s; want the report in it: %v", data, tt.report != "")
			}
			if tt.files != nil && tt.next != 1 {
				if kept, _ := os.ReadFile(filepath.Join(dir, name)); string(kept) != tt.kept {
					t.Errorf("the segment has %q; want %q", kept, tt.kept)
				}
			}
			if torn, _ := os.ReadFile(filepath.Join(dir, name+tornSuffix)); string(torn) != tt.torn {
				t.Errorf("aside is %q; want %q", torn, tt.torn)
			}
		})
	}
}

// A last line that cannot be read hides how many numbers were given. Moving the file away, as
// the message says, must not give them again.
func TestStartRefusesWhereANumberCouldBeGivenTwice(t *testing.T) {
	for what, end := range map[string]string{"text": "hello\n", "an empty line": "\n", "no number": "{\"seq\":null}\n", "not an object": "{\"seq\":3\n"} {
		t.Run(what, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "audit")
			write(t, dir, map[string]string{segmentName(1): whole(1) + end})
			_, err := Open(dir, Options{})
			path := filepath.Join(dir, segmentName(1))
			want := "the last whole line of " + path + " is not a record, so the next number is unknown, and one could be given twice: " +
				"somebody or the disk has changed the file; run: mv " + path + " " + path + ".damaged, keep that file, and start again"
			if err == nil || err.Error() != want {
				t.Fatalf("Open = %v; want %q", err, want)
			}
			if err := os.Rename(path, path+damagedSuffix); err != nil {
				t.Fatal(err)
			}
			l := open(t, dir, Options{})
			if err := errors.Join(l.Decide(t.Context(), decision("new")), l.Close()); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(filepath.Join(dir, segmentName(1))); err == nil {
				t.Error("number 1 was given again")
			}
		})
	}
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
