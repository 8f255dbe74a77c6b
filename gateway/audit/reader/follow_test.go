package reader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/gateway/audit"
)

// follow collects what a follower yields until it has the wanted number of records.
func follow(t *testing.T, dir string, o FollowOptions, want int) (seqs []uint64, told []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for e, err := range Follow(ctx, dir, o) {
		switch {
		case err == nil:
			seqs = append(seqs, e.Record.Seq)
		case Told(err):
			told = append(told, err.Error())
		default:
			t.Fatal(err)
		}
		if len(seqs) == want {
			break
		}
	}
	return seqs, told
}

// The writer goes on, rotates and compresses while somebody follows.
func TestFollowLosesAndRepeatsNothing(t *testing.T) {
	dir := record(t, 7)
	l, err := audit.Open(dir, audit.Options{SegmentBytes: 2000})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 200 {
			write(t, l, i)
			if segs := names(t, dir); i%20 == 19 && len(segs) > 2 {
				for _, s := range segs[:len(segs)-1] {
					if strings.HasSuffix(s, plainSuffix) {
						pack(t, dir, s)
						break
					}
				}
			}
		}
	}()
	got, told := follow(t, dir, FollowOptions{}, 207)
	<-done
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, upTo(207)) || told != nil {
		t.Errorf("followed %v, told %q; want 1 to 207 once each", got, told)
	}
}

func TestFollowBeginsWhereItIsTold(t *testing.T) {
	dir := record(t, 20)
	for n := range 25 {
		at, err := End(dir, n)
		if err != nil {
			t.Fatal(err)
		}
		var got []uint64
		for e, err := range Follow(t.Context(), dir, FollowOptions{From: at, Once: true}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e.Record.Seq)
		}
		if want := upTo(20)[20-min(n, 20):]; !slices.Equal(got, want) {
			t.Errorf("the last %d: %v; want %v", n, got, want)
		}
		got = nil
		for e, err := range Follow(t.Context(), dir, FollowOptions{After: uint64(n), Once: true}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e.Record.Seq)
		}
		if want := upTo(20)[min(n, 20):]; !slices.Equal(got, want) {
			t.Errorf("after %d: %v; want %v", n, got, want)
		}
	}
}

// A line whose sync failed was acknowledged to nobody, and its number is given to another. Whoever
// follows has seen neither it nor the other twice.
func TestFollowNeverShowsWhatIsTakenBack(t *testing.T) {
	synctest.Test(t, neverShows)
}

func neverShows(t *testing.T) {
	dir := record(t, 4)
	segs := names(t, dir)
	path := filepath.Join(dir, segs[len(segs)-1])
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	phantom := strings.Replace(string(whole[bytes.LastIndexByte(whole[:len(whole)-1], '\n')+1:]), `{"seq":4,`, `{"seq":5,`, 1)
	put(t, path, append(whole, phantom...))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var got []string
	for e, err := range Follow(ctx, dir, FollowOptions{}) {
		switch {
		case errors.Is(err, ErrUncovered): // the follower stands before the phantom
			if want := fmt.Sprintf("%s:%d and what follows: the checkpoint does not cover the record yet", segs[len(segs)-1], 1+bytes.Count(whole, []byte{'\n'})); !strings.Contains(err.Error(), want) {
				t.Errorf("told %q; want %q", err, want)
			}
			put(t, path, whole)
			l, err := audit.Open(dir, audit.Options{})
			if err != nil {
				t.Fatal(err)
			}
			write(t, l, 4)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		case err != nil:
			t.Fatal(err)
		default:
			got = append(got, fmt.Sprintf("%d %s", e.Record.Seq, e.Record.ID[23:]))
		}
		if len(got) == 5 {
			break
		}
	}
	if want := []string{"1 000", "2 001", "3 002", "4 003", "5 004"}; !slices.Equal(got, want) {
		t.Errorf("followed %q; want %q", got, want)
	}
}
