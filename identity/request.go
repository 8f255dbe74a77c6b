package identity

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"sallyport/internal/strictjson"
)

// Request is what a verifier looks at of an HTTP request, and what it has to say to the answer.
type Request struct {
	Method   string
	Header   http.Header          // canonical, as net/http makes it
	Path     string               // as it came, escapes and all (url.URL.EscapedPath): a proof names it
	RawQuery string               // looked at only to refuse tokens in it
	TLS      *tls.ConnectionState // nil without TLS
	Nonce    string               // set by Verify, also on errors: what the answer must carry in DPoP-Nonce, unless empty
}

// credential takes the token from the one place where it may stand: the only Authorization
// header, scheme Bearer (RFC 6750 §2.1) or DPoP (RFC 9449 §7.1).
func (r *Request) credential() (token string, dpop bool, err error) {
	if err := checkQuery(r.RawQuery); err != nil {
		return "", false, err
	}
	values := r.Header["Authorization"]
	if len(values) == 0 {
		return "", false, ErrMissing
	}
	if len(values) > 1 {
		return "", false, ErrScheme
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	dpop = strings.EqualFold(scheme, "DPoP")
	if !ok || !dpop && !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", false, ErrScheme
	}
	return token, dpop, nil
}

// checkQuery refuses a query that names a token, even beside a good header: queries end up in
// logs and histories (RFC 9700 §4.3.2). A query that cannot be read is refused as well, since
// another reader may find one in it.
func checkQuery(raw string) error {
	for part := range strings.FieldsFuncSeq(raw, func(r rune) bool { return r == '&' || r == ';' }) {
		name, _, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return fmt.Errorf("%w, or one that cannot be read", ErrQueryToken)
		}
		switch strictjson.Fold(strings.TrimSpace(name)) {
		case "access_token", "token", "id_token", "bearer_token", "authorization", "dpop":
			return ErrQueryToken
		}
	}
	return nil
}
