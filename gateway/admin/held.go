package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"
)

// Held is a grant that ends with this process.
type Held struct {
	body   io.ReadCloser
	cancel context.CancelFunc
}

// Hold has the server complete a grant when the connection that Hold opens breaks: when ctx
// ends, at Release, or when this process ends, however it ends. It returns once the server
// watches.
func (c *Client) Hold(ctx context.Context, id string) (*Held, error) {
	ctx, cancel := context.WithCancel(ctx)
	late := time.AfterFunc(bodyTime, cancel)
	resp, err := c.send(ctx, http.MethodPost, pathHold, holdBody{Grant: id})
	if err != nil {
		cancel()
		return nil, err
	}
	late.Stop()
	return &Held{body: resp.Body, cancel: cancel}, nil
}

// Wait blocks until the grant has ended otherwise, and returns how in words; or until nobody
// watches any more, since the gateway stops or ctx has ended, and returns an error.
func (h *Held) Wait() (how string, err error) {
	defer h.Release()
	var line endedLine
	if err := json.NewDecoder(io.LimitReader(h.body, maxBody)).Decode(&line); err != nil || line.Ended == "" {
		return "", errors.New("the gateway no longer watches over the grant")
	}
	return line.Ended, nil
}

// Release breaks the connection, so that the server completes the grant.
func (h *Held) Release() {
	h.cancel()
	_ = h.body.Close()
}
