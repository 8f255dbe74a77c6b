package upstream

import (
	"bytes"
	"strconv"

	"sallyport/internal/strictjson"
)

// The ways in which programs begin or end the line of a result: its members in the order of the
// specification, and in that of its TypeScript SDK.
var (
	version     = []byte(`{"jsonrpc":"2.0","id":`)
	thenResult  = []byte(`,"result":`)
	resultFirst = []byte(`{"result":`)
	versionLast = []byte(`,"jsonrpc":"2.0","id":`)
)

// resultID returns the id of a line that is a result in one of those forms, and where it stands. It
// looks at the ends of the line only: if the line is one JSON object without a name twice, then
// what it finds is the id. Whether it is must be asked before anything of it is used.
func resultID(line []byte) (id int64, place strictjson.Span, ok bool) {
	switch {
	case bytes.HasPrefix(line, version):
		place.Start = len(version)
		place.End = digits(line, place.Start)
		ok = bytes.HasPrefix(line[place.End:], thenResult)
	case bytes.HasPrefix(line, resultFirst) && line[len(line)-1] == '}':
		place.End = len(line) - 1
		place.Start = place.End
		for place.Start > 0 && isDigit(line[place.Start-1]) {
			place.Start--
		}
		ok = bytes.HasSuffix(line[:place.Start], versionLast)
	}
	if !ok || place.Empty() {
		return 0, strictjson.Span{}, false
	}
	text := place.Of(line)
	id, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || text[0] == '0' && len(text) > 1 {
		return 0, strictjson.Span{}, false
	}
	return id, place, true
}

// digits returns the index after the digits at i.
func digits(line []byte, i int) int {
	for i < len(line) && isDigit(line[i]) {
		i++
	}
	return i
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
