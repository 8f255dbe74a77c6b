package credential

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"sallyport/internal/strictjson"
)

// unsaidLife is how long a token is kept whose endpoint does not say when it expires.
const unsaidLife = time.Minute

// request asks the endpoint for a token. The errors name the endpoint and what it did, and none
// of its words but an error code of the protocol's form.
func (o *oauth) request(ctx context.Context, form url.Values) (Secret, error) {
	fail := func(format string, args ...any) (Secret, error) {
		return Secret{}, fmt.Errorf("token endpoint %s: "+format, append([]any{o.cfg.TokenURL}, args...)...)
	}
	header := http.Header{"Accept": {"application/json"}, "User-Agent": {"sallyport"}}
	if err := o.prove(ctx, header, form); err != nil {
		return fail("%w", err)
	}
	header.Set("Content-Type", "application/x-www-form-urlencoded")
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.cfg.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return fail("build the request: %w", err)
	}
	req.Header = header
	asked := time.Now()
	resp, err := o.client.Do(req)
	if err != nil {
		return fail("cannot be reached: %w", cause(err))
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxSecret+1))
	switch {
	case err != nil:
		return fail("its answer broke off: %w", cause(err))
	case len(body) > maxSecret:
		return fail("its answer has over %d bytes", maxSecret)
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return fail("it answered with a redirect (%d), which is not followed; write the URL that it leads to", resp.StatusCode)
	case resp.StatusCode != http.StatusOK:
		return fail("it answered %d%s", resp.StatusCode, errorCode(body))
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return fail("its answer is not application/json; is this the URL of the token endpoint?")
	}
	secret, err := o.token(body, asked)
	if err != nil {
		return fail("its answer %w", err)
	}
	return secret, nil
}

// cause is what an error of the client says beside method and URL.
func cause(err error) error {
	if at, ok := errors.AsType[*url.Error](err); ok {
		return at.Err
	}
	return err
}

// token reads a successful answer (RFC 6749 section 5.1, RFC 8693 section 2.2.1).
func (o *oauth) token(body []byte, asked time.Time) (Secret, error) {
	if strictjson.Check(body, strictjson.Limits{}) != nil {
		return Secret{}, errors.New("is no sound JSON")
	}
	if _, err := strictjson.Object(body); err != nil {
		return Secret{}, errors.New("is no JSON object")
	}
	token, kind, issued := text(body, "access_token"), text(body, "token_type"), text(body, "issued_token_type")
	if token == "" {
		return Secret{}, errors.New("has no access_token")
	}
	for _, c := range []byte(token) {
		if c <= ' ' || c >= 0x7f {
			return Secret{}, errors.New("has an access_token that cannot stand in a header")
		}
	}
	if !strings.EqualFold(kind, "Bearer") {
		return Secret{}, fmt.Errorf("is a token of the type %.32q; only Bearer can be used", kind)
	}
	if issued != "" && issued != typeAccessToken && issued != typeJWT {
		return Secret{}, fmt.Errorf("is a token of the type %.80q; wanted is an access token", issued)
	}
	life := unsaidLife
	if span, ok := strictjson.Find(body, "expires_in"); ok {
		var seconds int64
		if json.Unmarshal(span.Of(body), &seconds) != nil {
			return Secret{}, errors.New("has an expires_in that is no whole number of seconds")
		}
		var err error
		if life, err = lifeOf(seconds); err != nil {
			return Secret{}, err
		}
	}
	return Secret{Value: token, Expires: asked.Add(life)}, nil
}

// text returns a string member, or "".
func text(doc []byte, member string) string {
	span, ok := strictjson.Find(doc, member)
	if !ok {
		return ""
	}
	s, err := strictjson.String(span.Of(doc))
	if err != nil {
		return ""
	}
	return s
}

// errorCode is the protocol's word for what went wrong (RFC 6749 section 5.2), where the body
// holds one. The description beside it is the endpoint's free text and stays behind.
func errorCode(body []byte) string {
	if strictjson.Check(body, strictjson.Limits{}) != nil {
		return ""
	}
	code := text(body, "error")
	for _, c := range []byte(code) {
		if (c < 'a' || c > 'z') && c != '_' {
			return ""
		}
	}
	if code == "" || len(code) > 40 {
		return ""
	}
	return ": " + code + hints[code]
}

var hints = map[string]string{
	"invalid_client":      " (check clientID and the client's secret or key)",
	"invalid_scope":       " (check scope)",
	"invalid_target":      " (check resource and audience)",
	"unauthorized_client": " (the client may not use this grant type)",
	"invalid_grant":       " (the statement for the principal is not accepted; does the endpoint trust the gateway's issuer?)",
}
