package main

import (
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// reverseProxyMain is httputil.ReverseProxy as one would tune it: enough kept connections, no
// compression, pooled buffers.
func reverseProxyMain(args []string) error {
	flags := flag.NewFlagSet("reverseproxy", flag.ExitOnError)
	to := flags.String("to", "", "the upstream's address")
	_ = flags.Parse(args)
	target := &url.URL{Scheme: "http", Host: *to}
	return serve(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: &http.Transport{
			MaxIdleConns:        0,
			MaxIdleConnsPerHost: 1024,
			IdleConnTimeout:     time.Minute,
			DisableCompression:  true,
			DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			ReadBufferSize:      16 << 10,
			WriteBufferSize:     16 << 10,
		},
		BufferPool: &buffers{},
		ErrorLog:   log.New(io.Discard, "", 0),
	})
}

type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, 32<<10)
}

func (b *buffers) Put(p []byte) { b.pool.Put(&p) }

// fileServerMain serves one file with the standard file handler, to whatever is asked and
// however: the least that sending those bytes can cost in Go.
func fileServerMain(args []string) error {
	flags := flag.NewFlagSet("fileserver", flag.ExitOnError)
	file := flags.String("file", "", "the file to serve")
	_ = flags.Parse(args)
	if _, err := os.Stat(*file); err != nil {
		return err
	}
	dir, name := filepath.Split(*file)
	handler := http.FileServer(http.Dir(dir))
	return serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		r.Method, r.URL.Path = http.MethodGet, "/"+name
		handler.ServeHTTP(w, r)
	}))
}
