package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"sallyport/gateway/config"
)

const (
	// drainTime is how long requests in flight may take when the gateway stops.
	drainTime = 10 * time.Second
	// headerTime bounds the wait for a request's header. Bodies have limits.bodyTimeout;
	// answers have no limit of their own, since some are streams.
	headerTime     = 10 * time.Second
	idleTime       = 2 * time.Minute
	maxHeaderBytes = 64 << 10
)

func (a *app) newServe() *cobra.Command {
	cmd := &cobra.Command{Use: "serve", Short: "Run the gateway", Args: cobra.NoArgs,
		Long: "Listens only when it is ready to decide: policies loaded and tested, and each server's\n" +
			"catalogue fetched or failed once. A server that cannot be reached does not keep the\n" +
			"gateway from starting; /readyz names it.\n\n" +
			"SIGTERM and SIGINT end it gracefully: it takes no more requests, ends the streams, waits\n" +
			"up to 10 seconds for calls in flight and writes its record out. A second signal ends it\nat once."}
	logs := a.logFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		log, err := logs()
		if err != nil {
			return err
		}
		cfg, err := a.load()
		if err != nil {
			return err
		}
		calmCollector(a.env)
		onePlaceForTheDisk(a.env)
		return serve(cmd.Context(), cfg, log)
	}
	return cmd
}

// serve runs the gateway until ctx ends, and drains it.
func serve(ctx context.Context, cfg *config.Config, log *slog.Logger) (err error) {
	var ln net.Listener
	if strings.HasSuffix(cfg.Listen, ":0") { // the port is part of publicURL, so it comes first
		if ln, err = listen(ctx, cfg.Listen, "listen", "SALLYPORT_LISTEN"); err != nil {
			return err
		}
		cfg.At(ln.Addr().String())
	}
	defer func() {
		if ln != nil {
			_ = ln.Close() // closed by the server before, if it came to that
		}
	}()
	service, err := config.Open(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, service.Close()) }()
	if err := service.Sockets(); err != nil {
		return err
	}
	// Before anybody can read that it is ready: who connects while it starts waits, and is not refused.
	if ln == nil {
		if ln, err = listen(ctx, cfg.Listen, "listen", "SALLYPORT_LISTEN"); err != nil {
			return err
		}
	}
	failed := make(chan error, 2)
	admin, err := serveAdmin(ctx, cfg, service, log, failed)
	if err != nil {
		return err
	}
	defer func() { _ = admin.Close() }()
	service.Start(ctx)
	if ctx.Err() != nil {
		return nil
	}
	clients := newServer(service.Handler(), log)
	clients.TLSConfig = service.TLS()
	go run1(clients, ln, failed)
	log.Info("serving", slog.String("address", ln.Addr().String()), slog.String("url", cfg.PublicURL+"/mcp"))

	running, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { service.Run(running) })
	defer watching.Wait()
	defer stop()
	select {
	case err := <-failed:
		return errors.Join(err, clients.Close())
	case <-ctx.Done():
	}
	return drain(ctx, clients, service, log)
}

func run1(srv *http.Server, ln net.Listener, failed chan<- error) {
	var err error
	if srv.TLSConfig != nil {
		err = srv.ServeTLS(ln, "", "")
	} else {
		err = srv.Serve(ln)
	}
	if !errors.Is(err, http.ErrServerClosed) {
		failed <- fmt.Errorf("serve %s: %w", ln.Addr(), err)
	}
}

func newServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
}

// serveAdmin serves health, also while the gateway starts and drains.
func serveAdmin(ctx context.Context, cfg *config.Config, service *config.Service, log *slog.Logger, failed chan<- error) (*http.Server, error) {
	srv := newServer(service.AdminHandler(), log)
	srv.ReadTimeout = headerTime // nobody sends a body there, and nothing is a stream
	if !cfg.HasAdmin() {
		return srv, nil
	}
	ln, err := listen(ctx, cfg.Admin.Listen, "admin.listen", "SALLYPORT_ADMIN_LISTEN")
	if err != nil {
		return nil, err
	}
	log.Info("serving health", slog.String("address", ln.Addr().String()))
	go run1(srv, ln, failed)
	return srv, nil
}

// listen takes an address. Its error says what to do when somebody else has it.
func listen(ctx context.Context, address, key, variable string) (net.Listener, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is taken by another process, perhaps another sallyport: stop it, or set %s (%s) to another address", address, key, variable)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%s may not be taken by this user: set %s (%s) to a port above 1023", address, key, variable)
	case err != nil:
		return nil, fmt.Errorf("%s (%s): %w", key, variable, err)
	}
	return ln, nil
}

// drain lets calls in flight end.
func drain(ctx context.Context, clients *http.Server, service *config.Service, log *slog.Logger) error {
	log.Info("stopping", slog.Duration("at_most", drainTime))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	service.Drain()
	done := make(chan error, 1)
	go func() { done <- clients.Shutdown(ctx) }()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	var err error
	for serving := true; serving; {
		select {
		case <-again.C:
			service.Drain() // a request that was under way may have become a stream
		case err = <-done:
			serving = false
		}
	}
	for service.Drain() > 0 && ctx.Err() == nil { // streams that the server does not know of
		time.Sleep(time.Millisecond)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		log.Warn("calls in flight were cut off")
		err = clients.Close()
	}
	log.Info("stopped")
	return err
}
