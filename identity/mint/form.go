package mint

import (
	"errors"
	"io"
	"mime"
	"net/http"
	neturl "net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxForm bounds the body of a request to an endpoint, in bytes.
const maxForm = 64 << 10

// form is the parameters of a request, each there once (RFC 6749 §3.2).
type form map[string]string

// readForm reads a request that has one meaning, or says what is wrong with it. Values are
// never part of what it says.
func readForm(r *http.Request) (form, *Refusal) {
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		return nil, refuse(codeRequest, "this endpoint takes no query string: what stands there ends up in logs; send the parameters in the body")
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset, given := params["charset"]
	if err != nil || len(r.Header["Content-Type"]) != 1 || kind != "application/x-www-form-urlencoded" ||
		given && !strings.EqualFold(charset, "utf-8") || r.Header.Get("Content-Encoding") != "" {
		return nil, refuse(codeRequest, "send the parameters as Content-Type: application/x-www-form-urlencoded, in UTF-8 and not compressed")
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxForm))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, &Refusal{Code: codeRequest, Message: "the body is longer than 64 KiB; send fewer or shorter parameters", Status: http.StatusRequestEntityTooLarge}
	}
	if err != nil {
		return nil, &Refusal{Code: codeRequest, Message: "the body ended early; send it again", Status: http.StatusBadRequest, err: err}
	}
	return parseForm(string(body))
}

// parseForm reads the body. It is stricter than neturl.ParseQuery: what another parser could read
// in another way is refused.
func parseForm(body string) (form, *Refusal) {
	f := form{}
	if body == "" {
		return f, nil
	}
	for part := range strings.SplitSeq(body, "&") {
		rawName, rawValue, ok := strings.Cut(part, "=")
		name, err := unescape(rawName)
		if !ok || err != nil || name == "" {
			return nil, refuse(codeRequest, "the body is not name=value pairs with '&' between them, percent-encoded UTF-8 without control characters")
		}
		value, err := unescape(rawValue)
		if err != nil {
			return nil, refuse(codeRequest, "the value of a parameter is not percent-encoded UTF-8 without control characters; encode it once")
		}
		if _, twice := f[name]; twice {
			return nil, refuse(codeRequest, "a parameter is there twice, so two readers could see two requests; send each once")
		}
		f[name] = value
	}
	return f, nil
}

func unescape(s string) (string, error) {
	if strings.ContainsAny(s, "; ") {
		return "", errors.New("a separator or space that is not encoded")
	}
	s, err := neturl.QueryUnescape(s)
	if err != nil {
		return "", err
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r' }) {
		return "", errors.New("not UTF-8, or with a control character")
	}
	return s, nil
}

// need returns a parameter that must be there.
func (f form) need(name string) (string, *Refusal) {
	if f[name] == "" {
		return "", refuse(codeRequest, "the parameter %s is missing", name)
	}
	return f[name], nil
}
