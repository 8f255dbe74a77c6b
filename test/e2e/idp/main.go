// Command idp is an OpenID Connect provider for tests: the example of zitadel/oidc, on a free
// port of this machine. It prints its issuer, one line, when it listens, and ends when its
// standard input does.
//
// It is a module of its own so that the gateway's has none of what a provider needs.
package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
)

// A client of the provider. Nobody listens at its callback; the test reads the code out of the
// redirect.
const (
	client   = "sallyport-e2e"
	secret   = "secret"
	callback = "http://127.0.0.1/callback"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "idp:", err)
		os.Exit(1)
	}
}

func run() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	issuer := "http://" + l.Addr().String() + "/"
	storage.RegisterClients(storage.WebClient(client, secret, callback))
	handler := exampleop.SetupServer(issuer, storage.NewStorage(storage.NewUserStore(issuer)), slog.New(slog.DiscardHandler), false)
	failed := make(chan error, 1)
	go func() { failed <- http.Serve(l, handler) }()
	fmt.Println(issuer)
	ended := make(chan error, 1)
	go func() { _, err := io.Copy(io.Discard, os.Stdin); ended <- err }()
	select {
	case err = <-failed:
	case err = <-ended:
	}
	return err
}
