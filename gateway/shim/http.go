package shim

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"sallyport/internal/strictjson"
)

const (
	dialTimeout = 10 * time.Second
	// shortTimeout bounds requests that wait for nobody's work: documents, notifications.
	shortTimeout = 30 * time.Second
	// maxDocument bounds metadata and answers of token endpoints, in bytes.
	maxDocument = 256 << 10
)

// newHTTPClient follows no redirect: proofs and tokens are for the URL that was configured. It
// has no timeout of its own, since streams last.
func newHTTPClient(conf *tls.Config) *http.Client {
	if conf != nil {
		conf = conf.Clone()
	}
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSClientConfig:     conf,
			TLSHandshakeTimeout: dialTimeout,
			ForceAttemptHTTP2:   true,
			DisableCompression:  true,
			MaxIdleConnsPerHost: 16,
			IdleConnTimeout:     90 * time.Second,
			// A machine that has slept finds its connections dead, and nobody to say so.
			HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
		},
	}
}

// document is a JSON document from the network, and how it came.
type document struct {
	status int
	header http.Header
	body   []byte
}

// errNoJSON is an answer in another form.
var errNoJSON = errors.New("the answer is not a JSON document")

// fetchJSON sends the request and reads a small JSON object with one meaning.
func fetchJSON(client *http.Client, req *http.Request) (*document, error) {
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return nil, plain(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err != nil {
		return nil, plain(err)
	}
	doc := &document{status: resp.StatusCode, header: resp.Header, body: body}
	if mediaType(resp.Header) != "application/json" || len(body) > maxDocument {
		return doc, errNoJSON
	}
	if strictjson.Check(body, strictjson.Limits{}) != nil {
		return doc, errNoJSON
	}
	return doc, nil
}

// getJSON fetches a document into v.
func getJSON(ctx context.Context, client *http.Client, u string, v any) error {
	ctx, cancel := context.WithTimeout(ctx, shortTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return err
	}
	doc, err := fetchJSON(client, req)
	switch {
	case doc != nil && doc.status != http.StatusOK:
		return fmt.Errorf("%s answers %s", u, status(doc.status))
	case errors.Is(err, errNoJSON):
		return fmt.Errorf("%s answers with %s and not with a JSON document", u, kindOf(doc.header))
	case err != nil:
		return err
	}
	if err := json.Unmarshal(doc.body, v); err != nil {
		return fmt.Errorf("%s answers with JSON of another shape", u)
	}
	return nil
}

// plain strips the wrapping in which net/http repeats method and URL.
func plain(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

func mediaType(h http.Header) string {
	kind, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(kind))
}

// kindOf names what came for a person.
func kindOf(h http.Header) string {
	switch kind := mediaType(h); kind {
	case "":
		return "something"
	case "text/html":
		return "a web page"
	default:
		return fmt.Sprintf("%.40q", kind)
	}
}

func status(code int) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", code, http.StatusText(code)))
}
