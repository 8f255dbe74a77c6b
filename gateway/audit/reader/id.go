package reader

import (
	"slices"
	"strings"
	"time"

	"sallyport/gateway/audit"
)

const idDigits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// idLength is that of a whole id; timeDigits of these are its time.
const (
	idLength   = 26
	timeDigits = 10
)

// IDTime is when a decision with this id, or with one that begins so, was begun at the earliest.
// ok is false for what cannot begin an id.
func IDTime(id string) (t time.Time, ok bool) {
	if id == "" || len(id) > idLength {
		return time.Time{}, false
	}
	ms := int64(0)
	for i := range max(len(id), timeDigits) {
		digit := 0
		if i < len(id) {
			if digit = strings.IndexByte(idDigits, id[i]); digit < 0 {
				return time.Time{}, false
			}
		}
		if i < timeDigits {
			ms = ms<<5 | int64(digit)
		}
	}
	return time.UnixMilli(ms).UTC(), true
}

// Found is what a log has of one decision.
type Found struct {
	Entries []Entry  // decision, then what came of it; none where the id is not there
	IDs     []string // that begin as was asked: more than one where that was too short
	Near    string   // the id that comes nearest in time, where there are none; "" for an empty log
	Told    []error  // what could not be read
}

// Find looks for the records of a decision, by its id or by how that begins. It fails where the log
// cannot be read.
func Find(dir, id string) (Found, error) {
	began, ok := IDTime(id)
	if !ok {
		return Found{}, nil
	}
	var out Found
	begins := audit.Quote(id)
	for e, err := range All(dir, Options{Since: began, Has: [][]byte{begins[:len(begins)-1]}}) {
		if err != nil {
			if !Told(err) {
				return out, err
			}
			out.Told = append(out.Told, err)
			continue
		}
		if strings.HasPrefix(e.Record.ID, id) {
			out.Entries = append(out.Entries, e)
			if !slices.Contains(out.IDs, e.Record.ID) {
				out.IDs = append(out.IDs, e.Record.ID)
			}
		}
		if len(out.IDs) > maxIDs {
			return out, nil
		}
	}
	if len(out.IDs) > 0 {
		return out, nil
	}
	var err error
	out.Near, err = nearest(dir, began)
	return out, err
}

// maxIDs is how many ids with one beginning are looked for: who gave so little must give more.
const maxIDs = 10

// nearest is the id whose time is nearest to t.
func nearest(dir string, t time.Time) (string, error) {
	near, least := "", time.Duration(-1)
	for e, err := range All(dir, Options{}) {
		if err != nil {
			if Told(err) {
				continue
			}
			return near, err
		}
		at, ok := IDTime(e.Record.ID)
		if !ok || len(e.Record.ID) != idLength {
			continue
		}
		if d := at.Sub(t).Abs(); least < 0 || d < least {
			near, least = e.Record.ID, d
		}
	}
	return near, nil
}
