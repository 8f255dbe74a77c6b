package identity

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"sallyport/internal/strictjson"
)

// bearer takes the token from the one place where it may stand: the only Authorization
// header, scheme Bearer (RFC 6750 §2.1).
func bearer(h http.Header, rawQuery string) (string, error) {
	if err := checkQuery(rawQuery); err != nil {
		return "", err
	}
	values := h["Authorization"]
	if len(values) == 0 {
		return "", ErrMissing
	}
	if len(values) > 1 {
		return "", ErrScheme
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if ok && strings.EqualFold(scheme, "DPoP") && token != "" {
		return "", ErrProof // the token's proof cannot be verified yet
	}
	if !ok || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", ErrScheme
	}
	return token, nil
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
