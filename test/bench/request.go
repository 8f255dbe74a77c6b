package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// The shape of a call: {"jsonrpc":"2.0","id":DDDDDDDDD,… with an id of nine digits, so that
// each call can have its own without rendering the request again.
const (
	idPrefix = `{"jsonrpc":"2.0","id":`
	idDigits = 9
	firstID  = 100_000_000
)

// callSpec says what one load asks.
type callSpec struct {
	Path  string
	Host  string
	Token string
	Size  int    // of the body, in bytes
	Tool  string // to call; "" lists the tools
	Vary  bool   // another argument value in every call, so that no decision is cached
	Bound bool   // Token is bound to a key: every call carries a proof of it
}

// rendered is a request whose id, and path argument where it varies, are written in place.
type rendered struct {
	bytes []byte
	id    int // offset of the id
	vary  int // offset of the digits of the varying argument; -1: none
	proof int // offset where a header with a proof may stand
}

const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`

const varyMark = "000000000"

func render(spec callSpec) (*rendered, error) {
	method, name := "tools/list", ""
	body := fmt.Sprintf(`%s%d,"method":"tools/list","params":{%s}}`, idPrefix, firstID, meta)
	if spec.Tool != "" {
		method, name = "tools/call", "Mcp-Name: "+spec.Tool+"\r\n"
		start := fmt.Sprintf(`%s%d,"method":"tools/call","params":{%s,"name":%q,"arguments":{"path":"/srv/docs/%s"`, idPrefix, firstID, meta, spec.Tool, varyMark)
		var err error
		if body, err = fillArguments(start, spec.Size); err != nil {
			return nil, err
		}
	}
	auth := ""
	switch {
	case spec.Bound:
		auth = "Authorization: DPoP " + spec.Token + "\r\n"
	case spec.Token != "":
		auth = "Authorization: Bearer " + spec.Token + "\r\n"
	}
	header := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\n%sContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"+
		"MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: %s\r\n%sContent-Length: %d\r\n\r\n",
		spec.Path, spec.Host, auth, method, name, len(body))
	r := &rendered{bytes: []byte(header + body), id: len(header) + len(idPrefix), vary: -1, proof: strings.Index(header, "\r\n") + 2}
	if spec.Vary {
		r.vary = bytes.LastIndex(r.bytes, []byte("/srv/docs/"+varyMark)) + len("/srv/docs/")
	}
	return r, nil
}

// fillArguments closes the arguments so that the body has the wanted size: rows of the kind
// that tools take (numbers, text, small lists) and a note that fills what is left. A body
// that cannot be as small as wanted is left as small as it can be.
func fillArguments(start string, size int) (string, error) {
	const row = `{"id":%d,"name":"record %d of the list","value":%d.25,"tags":["alpha","beta"],"done":false}`
	var b strings.Builder
	b.WriteString(start)
	const end = `}}}`
	if size-b.Len() > 400 {
		b.WriteString(`,"rows":[`)
		for i := 0; ; i++ {
			item := fmt.Sprintf(row, i, i, i)
			if b.Len()+len(item)+60 > size {
				break
			}
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(item)
		}
		b.WriteByte(']')
	}
	if left := size - b.Len() - len(end) - len(`,"note":""`); left > 0 {
		b.WriteString(`,"note":"` + strings.Repeat("a few words ", left/12+1)[:left] + `"`)
	}
	b.WriteString(end)
	if b.Len() > size && size > 400 {
		return "", fmt.Errorf("body has %d bytes, want %d", b.Len(), size)
	}
	return b.String(), nil
}

// number writes the id (and the varying argument) of the n-th call.
func (r *rendered) number(n int) {
	digits := strconv.AppendInt(make([]byte, 0, 20), int64(firstID+n%firstID), 10)
	copy(r.bytes[r.id:], digits)
	if r.vary >= 0 {
		copy(r.bytes[r.vary:], digits)
	}
}

// answers reports whether body is the reply to the request as it was numbered last.
func (r *rendered) answers(body []byte) bool {
	return len(body) > len(idPrefix)+idDigits && bytes.HasPrefix(body, []byte(idPrefix)) &&
		bytes.Equal(body[len(idPrefix):len(idPrefix)+idDigits], r.bytes[r.id:r.id+idDigits])
}
