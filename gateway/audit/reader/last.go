package reader

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Place is where a line is or will be.
type Place struct {
	First uint64 // of the segment
	Line  int    // from 1
}

// End is the place of the oldest of the last n whole lines, or of the one that will come next where
// n is 0 or there is none.
func End(dir string, n int) (Place, error) {
	list, err := segments(dir)
	if err != nil {
		return Place{}, err
	}
	var at Place
	for i, s := range slices.Backward(list) {
		if s.damaged {
			continue
		}
		has, err := s.count()
		if err != nil {
			return Place{}, err
		}
		at = Place{s.first, max(1, has-n+1)}
		if n -= has; n <= 0 || i == 0 {
			break
		}
	}
	return at, nil
}

// count is how many whole lines the segment has.
func (s segment) count() (int, error) {
	f, err := s.open()
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }() // only read
	r := bufio.NewReaderSize(f, 1<<20)
	for n := 0; ; n++ {
		if _, err := readLine(r); errors.Is(err, io.EOF) {
			return n, nil
		} else if err != nil {
			return 0, fmt.Errorf("read %s:%d: %w", s.name, n+1, err)
		}
	}
}
