package upstream

import (
	"testing"

	"sallyport/gateway/wire"
)

var resultLines = map[string]int64{
	`{"jsonrpc":"2.0","id":7,"result":{}}`:                                   7,
	`{"jsonrpc":"2.0","id":0,"result":{"id":8}}`:                             0,
	`{"result":{"content":[]},"jsonrpc":"2.0","id":12}`:                      12,
	`{"result":{"a":{"b":1,"jsonrpc":"2.0","id":3}},"jsonrpc":"2.0","id":4}`: 4,
	`{"jsonrpc":"2.0","id":7,"error":{}}`:                                    -1,
	`{"jsonrpc":"2.0","id":"7","result":{}}`:                                 -1,
	`{"jsonrpc":"2.0","id":-7,"result":{}}`:                                  -1,
	`{"jsonrpc":"2.0","id":07,"result":{}}`:                                  -1,
	`{"jsonrpc":"2.0","id":7.0,"result":{}}`:                                 -1,
	`{"jsonrpc":"2.0","id":,"result":{}}`:                                    -1,
	`{"jsonrpc":"2.0","id":99999999999999999999,"result":{}}`:                -1,
	`{"jsonrpc":"2.0","id":7,"method":"ping"}`:                               -1,
	`{"result":{"a":1,"jsonrpc":"2.0","id":3}`:                               3, // no JSON: its reader refuses it
	`{"result":{},"jsonrpc":"2.0","id":}`:                                    -1,
	`{"result":{},"jsonrpc":"2.0","method":"x","id":3}`:                      -1,
	`{"result":{}}`:                         -1,
	`{"result":`:                            -1,
	`{ "jsonrpc":"2.0","id":7,"result":{}}`: -1,
	`}`:                                     -1,
	`{"result":"x,\"jsonrpc\":\"2.0\",\"id\":3}`: -1,
}

func TestResultIDReadsTheTwoUsualForms(t *testing.T) {
	for line, want := range resultLines {
		id, place, ok := resultID([]byte(line))
		if !ok {
			id = -1
		}
		if id != want || ok == place.Empty() {
			t.Errorf("%s: id %d, at %v, %v; want %d", line, id, place, ok, want)
		}
	}
}

// What the ends of a line say is what its strict reader says, or that one refuses the line.
func FuzzResultID(f *testing.F) {
	for line := range resultLines {
		f.Add([]byte(line))
	}
	f.Add([]byte(`{"jsonrpc":"2.0","id":7,"result":{},"id":8}`))
	f.Add([]byte(`{"jsonrpc":"2.0","id":7,"result":{},"ID":8}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		_, place, ok := resultID(line)
		if !ok {
			return
		}
		reply, err := wire.DecodeReply(line, wire.Limits{})
		if err != nil {
			return
		}
		if string(reply.ID) != string(place.Of(line)) || reply.IDAt != place || reply.Result == nil || reply.Kind != wire.Response {
			t.Errorf("%s: id %s at %v by its ends; %s at %v by reading all", line, place.Of(line), place, reply.ID, reply.IDAt)
		}
	})
}
