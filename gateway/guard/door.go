package guard

import (
	"fmt"
	"slices"
	"strings"

	"sallyport/gateway/guard/secrets"
)

// What is a set of things that an obligation can be about.
type What uint8

// The things, with the values that package policy gives them.
const (
	Secrets What = 1 << iota
	Hidden
	Links
)

// Kind says which message of a server a document is from. The zero value is judged most
// closely.
type Kind uint8

// The kinds.
const (
	ToolResult   Kind = iota // the result of tools/call, or of a task that began with one
	Contents                 // the result of resources/read
	Prompt                   // the result of prompts/get
	Other                    // any other result
	Error                    // the error object of a response
	Notification             // the params of a notification
)

// The kinds of content that a result can hold.
const (
	kindText         = "text"
	kindImage        = "image"
	kindAudio        = "audio"
	kindResource     = "resource"
	kindResourceLink = "resource_link"
	kindBlob         = "blob"
)

var contentKinds = []string{kindText, kindImage, kindAudio, kindResource, kindResourceLink, kindBlob}

// Config is what the operator says of all servers.
type Config struct {
	// Content are the kinds of content that any tool, resource or prompt may return: text, image,
	// audio, resource, resource_link, blob. None means that nothing may.
	Content []string

	// LinkHosts are the hosts that links and images may lead to: example.com for this host,
	// *.example.com for those below it, example.com:8443 for another port than the usual one.
	// None means that no link leads anywhere.
	LinkHosts []string

	// KeepHidden leaves hidden and terminal-control characters where they are, unless a policy
	// asks for their removal.
	KeepHidden bool

	// Secrets finds secrets and markers; nil finds none, and what asks for it is refused.
	Secrets *secrets.Scanner
}

// Door judges messages. It is immutable and safe for concurrent use. The zero Door allows no
// content and no host.
type Door struct {
	content    []string
	hosts      []host
	keepHidden bool
	secrets    *secrets.Scanner
	markers    *secrets.Scanner // secrets, without its rules; nil where there are no markers
}

// New returns the door that the operator describes. The error names the key and what to
// write instead.
func New(c Config) (*Door, error) {
	d := &Door{content: slices.Clone(c.Content), keepHidden: c.KeepHidden, secrets: c.Secrets}
	if c.Secrets != nil {
		d.markers = c.Secrets.Markers()
	}
	for _, kind := range c.Content {
		if !slices.Contains(contentKinds, kind) {
			return nil, fmt.Errorf("guards.content: %.40q is no kind of content; there are %s", kind, strings.Join(contentKinds, ", "))
		}
	}
	for _, entry := range c.LinkHosts {
		h, err := parseHost(entry)
		if err != nil {
			return nil, fmt.Errorf("guards.linkHosts: %w", err)
		}
		d.hosts = append(d.hosts, h)
	}
	return d, nil
}

// Ask is what is asked for one message beyond what the door does always. A nil Ask asks for
// nothing more and names no server.
type Ask struct {
	Server        string             // as the configuration calls it
	Content       []string           // kinds of content allowed besides the door's
	Redact        What               // what is taken out. Hidden characters and links in markup always are
	Refuse        What               // what makes the whole message refused
	PassUnscanned bool               // lets pass what could not be scanned for secrets to its end
	Mask          []string           // JSON pointers, with * for any member or element, whose values are masked
	MaxBytes      int64              // of the message as it would be passed on; 0 is no bound
	Output        func([]byte) error // judges structured content by the pinned output schema; nil where there is none
	Secrets       *secrets.Scanner   // instead of the door's, where set
}

// Refused is the error of [Door.Judge] and [Door.Question]: the message may not reach the
// client.
type Refused struct {
	Public string // for the client: what kind of thing was wrong, and nothing the server said
	Detail string // for the record: what and where, without values
}

func (r *Refused) Error() string { return r.Detail }
