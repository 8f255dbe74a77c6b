package agent

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"sallyport/internal/strictjson"
)

// maxRefused bounds the message that is refused, in bytes.
const maxRefused = 1 << 20

// Refuse answers the first request that a client makes with err, so that a person reads in the
// client why there is no server, and returns. A client that makes none hears nothing.
func Refuse(in io.Reader, out io.Writer, err error) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxRefused)
	for lines.Scan() {
		line := bytes.TrimSpace(lines.Bytes())
		if strictjson.Check(line, strictjson.Limits{}) != nil {
			continue
		}
		id, ok := strictjson.Find(line, "id")
		if !ok {
			continue // a notification
		}
		text, _ := json.Marshal(err.Error()) // of a string
		_, _ = fmt.Fprintf(out, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32000,"message":%s}}`+"\n", id.Of(line), text)
		return
	}
}
