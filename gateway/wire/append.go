package wire

import (
	"strconv"

	"sallyport/internal/strictjson"
)

// Splice returns a copy of raw in which the bytes of s are repl.
func Splice(raw []byte, s strictjson.Span, repl []byte) []byte {
	out := make([]byte, 0, len(raw)-(s.End-s.Start)+len(repl))
	out = append(out, raw[:s.Start]...)
	out = append(out, repl...)
	return append(out, raw[s.End:]...)
}

// AppendResult appends a response that carries result. A nil id becomes null.
func AppendResult(dst, id, result []byte) []byte {
	dst = appendEnvelope(dst, id)
	dst = append(dst, `,"result":`...)
	dst = append(dst, result...)
	return append(dst, '}')
}

// AppendError appends an error response. A nil id becomes null; nil data is left out.
func AppendError(dst, id []byte, code int, message string, data []byte) []byte {
	dst = appendEnvelope(dst, id)
	dst = append(dst, `,"error":{"code":`...)
	dst = strconv.AppendInt(dst, int64(code), 10)
	dst = append(dst, `,"message":`...)
	dst = strictjson.AppendString(dst, message)
	if data != nil {
		dst = append(dst, `,"data":`...)
		dst = append(dst, data...)
	}
	return append(dst, "}}"...)
}

func appendEnvelope(dst, id []byte) []byte {
	dst = append(dst, `{"jsonrpc":"2.0","id":`...)
	if id == nil {
		return append(dst, "null"...)
	}
	return append(dst, id...)
}

// ToolError is the result of a tool call that was refused: the text reaches the model.
func ToolError(era Era, text string) []byte {
	dst := []byte(`{"content":[{"type":"text","text":`)
	dst = strictjson.AppendString(dst, text)
	dst = append(dst, `}],"isError":true`...)
	if era == Modern {
		dst = append(dst, `,"resultType":"complete"`...)
	}
	return append(dst, '}')
}
