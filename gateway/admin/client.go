package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"syscall"

	"sallyport/identity/grant"
	"sallyport/identity/mint"
)

// ErrNoServer is wrapped by errors that say that nobody listens at the socket.
var ErrNoServer = errors.New("no gateway listens")

// maxAnswer bounds what is read of an answer, in bytes: a list of some 100,000 grants.
const maxAnswer = 128 << 20

// Client asks the server at one socket. It is safe for concurrent use.
type Client struct {
	path string
	http *http.Client
}

// Dial returns a client of the socket at path. It connects when it is asked something, and its
// methods return an error wrapping [ErrNoServer] where nobody listens. What the server refuses
// is a *mint.Refusal.
func Dial(path string) *Client {
	return &Client{path: path, http: &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{Timeout: headerTime}).DialContext(ctx, "unix", path)
			},
			DisableCompression: true, MaxResponseHeaderBytes: maxHeader, IdleConnTimeout: idleTime / 2,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close closes connections that are not in use.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// Grant asks for a grant. Ask.Child cannot be asked for here.
func (c *Client) Grant(ctx context.Context, ask mint.Ask) (grant.Grant, error) {
	if ask.Child {
		return grant.Grant{}, errors.New("a child is made of a token's grant, and no token is shown at the socket")
	}
	return do[grant.Grant](ctx, c, http.MethodPost, pathGrants, bodyOf(ask))
}

// Token asks for a token of a grant that lives.
func (c *Client) Token(ctx context.Context, ask mint.TokenAsk) (TokenAnswer, error) {
	return do[TokenAnswer](ctx, c, http.MethodPost, pathTokens,
		tokenBody{Grant: ask.Grant, TTL: duration(ask.TTL), JKT: ask.JKT, X5T: ask.X5T, Measured: ask.Measured})
}

// Revoke ends the caller's grants that f matches, an operator's call those of everybody, and
// returns them. to is grant.Revoked or grant.Completed.
func (c *Client) Revoke(ctx context.Context, f grant.Filter, to grant.State, why string) ([]grant.Grant, error) {
	return do[[]grant.Grant](ctx, c, http.MethodPost, pathRevoke, revokeBody{Filter: f, State: to, Why: why})
}

// List returns the caller's grants that f matches, to an operator those of everybody, newest
// first.
func (c *Client) List(ctx context.Context, f grant.Filter) ([]grant.Status, error) {
	q := url.Values{}
	for name, v := range map[string]string{"id": f.ID, "task": f.Task, "subject": f.Subject, "client_id": f.ClientID, "key": f.Key, "issuer": f.Issuer} {
		if v != "" {
			q.Set(name, v)
		}
	}
	if f.All {
		q.Set("all", "true")
	}
	return do[[]grant.Status](ctx, c, http.MethodGet, pathGrants+"?"+q.Encode(), nil)
}

// Whoami returns what the server knows of this user.
func (c *Client) Whoami(ctx context.Context) (Me, error) {
	return do[Me](ctx, c, http.MethodGet, pathWhoami, nil)
}

// Approve hands an operator's manifest of measured files to the server.
func (c *Client) Approve(ctx context.Context, manifest json.RawMessage) error {
	_, err := do[struct{}](ctx, c, http.MethodPost, pathMeasures, manifest)
	return err
}

// Manifest returns the manifests of measured files that are approved; null where there are none.
func (c *Client) Manifest(ctx context.Context) (json.RawMessage, error) {
	return do[json.RawMessage](ctx, c, http.MethodGet, pathMeasures, nil)
}

// do asks and reads the answer into T.
func do[T any](ctx context.Context, c *Client, method, path string, body any) (T, error) {
	var v T
	ctx, cancel := context.WithTimeout(ctx, bodyTime+answerTime)
	defer cancel()
	resp, err := c.send(ctx, method, path, body)
	if err != nil {
		return v, err
	}
	defer func() { _ = resp.Body.Close() }() // read to its end, or given up
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return v, fmt.Errorf("read the answer of %s: %w", c.path, err)
	}
	if len(raw) > maxAnswer {
		return v, fmt.Errorf("the answer of %s is over %d MiB; ask for fewer grants", c.path, maxAnswer>>20)
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return *new(T), fmt.Errorf("%s does not answer as a gateway's admin socket does", c.path)
	}
	return v, nil
}

// send asks and returns an answer whose status is 200.
func (c *Client) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var in io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("write the request: %w", err)
		}
		in = bytes.NewReader(raw)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://sallyport"+path, in) // the name is for nobody: the socket is the address
	if err != nil {
		return nil, err
	}
	if in != nil {
		r.Header.Set("Content-Type", jsonType)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, c.failed(err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }() // read to its end, or given up
	var ref refusal
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil || json.Unmarshal(raw, &ref) != nil || ref.Message == "" {
		return nil, fmt.Errorf("%s does not answer as a gateway's admin socket does (%d)", c.path, resp.StatusCode)
	}
	return nil, &mint.Refusal{Code: ref.Error, Message: ref.Message, Status: resp.StatusCode}
}

// failed says why nothing was answered.
func (c *Client) failed(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w at %s", ErrNoServer, c.path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("this user may not open %s; the operator can give the gateway a socket for all users of the machine (admin.socket), and identity.local says what each may ask for", c.path)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the gateway at %s does not answer in time", c.path)
	}
	return fmt.Errorf("ask %s: %w", c.path, inner(err))
}
