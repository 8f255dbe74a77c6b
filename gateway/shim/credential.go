package shim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"
)

const (
	// maxCredential bounds a credential, in bytes.
	maxCredential = 64 << 10
	// commandTimeout bounds a command that prints one.
	commandTimeout = 60 * time.Second
)

// FileCredential is a token in a file, which is read anew for each exchange: whoever put it
// there replaces it before it ends (a projected service-account token, a JWT-SVID).
func FileCredential(path string) Credential { return fileCredential(path) }

type fileCredential string

func (path fileCredential) Prove(context.Context, string) (Proof, error) {
	f, err := os.Open(string(path))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return Proof{}, fmt.Errorf("read the token in %s: the file does not exist; is the volume mounted, and the path right?", string(path))
		}
		return Proof{}, fmt.Errorf("read the token: %w", err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxCredential+1))
	if err != nil {
		return Proof{}, fmt.Errorf("read the token in %s: %w", string(path), err)
	}
	return subject(data, string(path))
}

// subject checks that data can be a token, without looking into it.
func subject(data []byte, from string) (Proof, error) {
	token := strings.TrimSpace(string(data))
	switch {
	case token == "":
		return Proof{}, fmt.Errorf("the token from %s is empty", from)
	case len(data) > maxCredential || strings.ContainsAny(token, " \t\r\n"):
		return Proof{}, fmt.Errorf("what comes from %s is no token: want one word and nothing else", from)
	}
	return Proof{Subject: token}, nil
}

// CommandCredential is a token that a command prints, run by the shell for each exchange.
func CommandCredential(command string) Credential { return commandCredential(command) }

type commandCredential string

func (command commandCredential) Prove(ctx context.Context, issuer string) (Proof, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", string(command))
	cmd.Env = append(os.Environ(), "SALLYPORT_AUDIENCE="+issuer)
	cmd.WaitDelay = time.Second
	out := &bounded{left: maxCredential + 1}
	cmd.Stdout = out
	cmd.Stderr = os.Stderr // a person may have to act on it
	if err := cmd.Run(); err != nil {
		return Proof{}, fmt.Errorf("run the command that prints a token: %w", err)
	}
	return subject(out.Bytes(), "the command")
}

// bounded keeps what fits.
type bounded struct {
	bytes.Buffer
	left int
}

func (b *bounded) Write(p []byte) (int, error) {
	keep := p[:min(len(p), b.left)]
	b.left -= len(keep)
	b.Buffer.Write(keep)
	return len(p), nil
}

// GitHubCredential asks GitHub Actions for the token of the running job. url and token are
// ACTIONS_ID_TOKEN_REQUEST_URL and ACTIONS_ID_TOKEN_REQUEST_TOKEN; whoever holds them can have
// tokens for any audience, so the caller takes both out of the environment.
func GitHubCredential(url, token string) Credential {
	return &githubCredential{url: url, token: token, http: newHTTPClient(nil)}
}

type githubCredential struct {
	url, token string
	http       *http.Client
}

func (g *githubCredential) Prove(ctx context.Context, issuer string) (Proof, error) {
	u, err := url.Parse(g.url)
	if err != nil || u.Host == "" || u.Scheme != "https" && !loopback(u.Hostname()) {
		return Proof{}, errors.New("ACTIONS_ID_TOKEN_REQUEST_URL is not an https URL")
	}
	q := u.Query()
	q.Set("audience", issuer)
	u.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return Proof{}, err
	}
	req.Header.Set("Authorization", "Bearer "+g.token)
	doc, err := fetchJSON(g.http, req)
	switch {
	case doc != nil && doc.status != http.StatusOK:
		return Proof{}, fmt.Errorf("ask GitHub for the job's token: it answers %s; the job needs `permissions: id-token: write`", status(doc.status))
	case err != nil:
		return Proof{}, fmt.Errorf("ask GitHub for the job's token: %w", err)
	}
	return subject([]byte(text(find(doc.body, "value"))), "GitHub")
}
