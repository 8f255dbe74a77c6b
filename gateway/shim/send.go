package shim

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// do sends one request with the token and a proof of its own, and once more after each of the two
// refusals that can be cured: another nonce is wanted (RFC 9449, section 9), or another token. Both
// come before the gateway has done anything.
func (s *Shim) do(ctx context.Context, method string, body []byte, h http.Header) (*http.Response, error) {
	token, err := s.tokens.get(ctx)
	if err != nil {
		return nil, err
	}
	nonced, renewed := false, false
	for {
		resp, err := s.once(ctx, method, body, h, token)
		if err != nil || resp.StatusCode != http.StatusUnauthorized {
			return resp, err
		}
		discard(resp)
		switch {
		case !nonced && wantsNonce(resp.Header):
			nonced = true
		case !renewed:
			nonced, renewed = false, true
			if token, err = s.tokens.another(ctx, token.Value); err != nil {
				return nil, err
			}
		default:
			return nil, errRefused
		}
	}
}

// once sends the request as it stands now.
func (s *Shim) once(ctx context.Context, method string, body []byte, h http.Header, token Token) (*http.Response, error) {
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.url.String(), r)
	if err != nil {
		return nil, err
	}
	req.Header = h.Clone()
	scheme := "Bearer"
	if s.proofs.key != nil && !token.Bearer {
		scheme = "DPoP"
		proof, err := s.proofs.prove(method, s.url, token.Value)
		if err != nil {
			return nil, fmt.Errorf("prove possession of the key: %w", err)
		}
		req.Header.Set("DPoP", proof)
	}
	req.Header.Set("Authorization", scheme+" "+token.Value)
	resp, err := s.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, plain(err)
	}
	s.proofs.learn(s.url, resp.Header)
	return resp, nil
}

// wantsNonce reports whether a refusal is cured by the nonce that came with it.
func wantsNonce(h http.Header) bool {
	if h.Get("DPoP-Nonce") == "" {
		return false
	}
	for _, challenge := range h.Values("WWW-Authenticate") {
		if strings.Contains(challenge, `"use_dpop_nonce"`) {
			return true
		}
	}
	return false
}

// discard reads what is left of a short answer, so that its connection can be used again.
func discard(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	_ = resp.Body.Close()
}
