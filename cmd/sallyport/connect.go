package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/gateway/admin"
	"sallyport/gateway/agent"
	"sallyport/gateway/config"
	"sallyport/gateway/shim"
	"sallyport/identity/pop"
)

// Variables that `run` sets for its command. envSocket alone names the gateway's own socket.
const (
	envGrant  = config.EnvPrefix + "GRANT"
	envSocket = config.EnvPrefix + "SOCKET"
	envRelay  = config.EnvPrefix + "RELAY"
)

// connectFlags are what `connect` can be told.
type connectFlags struct {
	as           string // client of the grants: the command
	url          string
	roles, tools []string
	task, grant  string
	ttl          time.Duration
	maxCalls     int64
	from, client string
	measure      []string
	listen       string
	cert, key    string
	ca           string
	plainHTTP    bool
}

// shared are the flags of `connect` and `run`: the grant that is asked for, and with whose word.
func (f *connectFlags) shared(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringArrayVar(&f.roles, "role", nil, "`ROLE` of the grant; may be given again; default: all that the configuration gives you; an operator, who may have any, must name one")
	fl.StringArrayVar(&f.tools, "tools", nil, "`PATTERN` server.tool of the grant; may be given again; default: whatever the roles may use")
	fl.StringVar(&f.task, "task", "", "`TASK` that the grant is for")
	fl.DurationVar(&f.ttl, "ttl", 0, "life of the grant, up to 24h (default 1h)")
	fl.Int64Var(&f.maxCalls, "max-calls", 0, "most tool calls of the grant (default: not counted)")
	fl.StringArrayVar(&f.measure, "measure", nil, "`GLOB` of the agent's own files, whose digest goes into each token; may be given again")
	fl.StringVar(&f.client, "client", "", "`ID` of the client whose key it is, with --from key:FILE")
	fl.StringVar(&f.ca, "ca", "", "`FILE` with the authorities that may vouch for the gateway, PEM; default: the system's")
}

func (a *app) newConnect() *cobra.Command {
	f := &connectFlags{as: "connect"}
	cmd := &cobra.Command{Use: "connect URL", Short: "Carry an MCP client to the gateway, with a key and short tokens", Args: cobra.ExactArgs(1),
		Long: "A stdio MCP server that carries its client to the gateway at URL (http…/mcp, or …/mcp/SERVER):\n\n" +
			"  claude mcp add work -- sallyport connect http://127.0.0.1:8080/mcp --role reader\n\n" +
			"It asks for a grant, holds the key that its tokens are bound to in memory alone, proves it\n" +
			"with every request and renews tokens by itself. Its grant is completed when it ends.\n\n" +
			"Where the grant comes from (--from):\n" +
			"  socket[:PATH]  the gateway on this machine, which knows the user from the kernel (default)\n" +
			"  file:PATH      a token of an outside issuer in a file, read anew each time\n" +
			"  github         the job's token, in GitHub Actions with `permissions: id-token: write`\n" +
			"  exec:COMMAND   a token that a command prints; SALLYPORT_AUDIENCE says for whom it must be\n" +
			"  key:FILE       the signing key of a client (--client), as JWK or PEM\n\n" +
			"Below `sallyport run` it is a pipe to the grant that `run` made.\n\n" +
			"Exits 3 once the grant has ended, and 1 where URL is no gateway."}
	f.shared(cmd)
	fl := cmd.Flags()
	fl.StringVar(&f.grant, "grant", a.env[envGrant], "`ID` of a grant that is there, instead of a new one (SALLYPORT_GRANT)")
	fl.StringVar(&f.from, "from", "socket", "`SOURCE` of tokens, see above")
	fl.StringVar(&f.listen, "listen", "", "unix:`PATH` of a socket to carry clients from, instead of standard input")
	fl.StringVar(&f.cert, "cert", "", "`FILE` with a client certificate to show, PEM")
	fl.StringVar(&f.key, "key", "", "`FILE` with its key, PEM")
	fl.BoolVar(&f.plainHTTP, "plain-http", false, "allow http:// to another machine, where something else protects the way")
	logs := a.logFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		log, err := logs()
		if err != nil {
			return err
		}
		f.url = args[0]
		if err := asked(cmd, f.tools); err != nil {
			return err
		}
		return a.connect(cmd, f, log)
	}
	return cmd
}

func (a *app) connect(cmd *cobra.Command, f *connectFlags, log *slog.Logger) error {
	if a.env[envRelay] != "" && f.listen == "" && f.from == "socket" {
		return a.join(cmd, f, log)
	}
	cfg, err := a.shimConfig(f, log)
	if err != nil {
		return err
	}
	source, err := a.source(f, cfg.TLS, log)
	if err != nil {
		return err
	}
	defer source.close(cmd.Context())
	cfg.Source = source
	s, err := shim.New(cfg)
	if err != nil {
		return errUsage{err.Error()}
	}
	if f.listen != "" {
		return carryAll(cmd.Context(), s, f, log)
	}
	return ended(s.Serve(cmd.Context(), a.in, a.out))
}

// ended is how connect ends. What was wrong has been said.
func ended(err error) error {
	switch {
	case errors.Is(err, shim.ErrEnded):
		return errNo{}
	case errors.Is(err, shim.ErrStart):
		return errStatus(exitFailed)
	}
	return err
}

// join carries the client to the `sallyport run` inside which this runs.
func (a *app) join(cmd *cobra.Command, f *connectFlags, log *slog.Logger) error {
	for _, name := range []string{"role", "tools", "task", "ttl", "max-calls", "measure"} {
		if cmd.Flags().Changed(name) {
			log.Warn("--" + name + " means nothing below `sallyport run`, whose grant this uses; give it to `run`")
		}
	}
	if a.env[envSocket] == "" {
		return errUsage{envRelay + " says that this runs below `sallyport run`, and " + envSocket + " does not say where it listens; set both, or neither"}
	}
	err := agent.Join(cmd.Context(), a.env[envSocket], f.url, a.in, a.out)
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" { // nothing has been read yet
		agent.Refuse(a.in, a.out, err)
	}
	return err
}

// carryAll serves every connection of the socket as a client of its own.
func carryAll(ctx context.Context, s *shim.Shim, f *connectFlags, log *slog.Logger) error {
	path, ok := strings.CutPrefix(f.listen, "unix:")
	if !ok || path == "" {
		return errUsage{fmt.Sprintf("--listen %s: want unix:PATH", f.listen)}
	}
	ln, err := admin.Listen(path, 0o600)
	if err != nil {
		return err
	}
	log.Info("carrying clients", slog.String("from", path), slog.String("to", f.url))
	relay := &agent.Relay{Log: log, Serve: func(ctx context.Context, endpoint string, in io.Reader, out io.Writer) {
		if endpoint != "" && endpoint != f.url {
			log.Error("a client wants to go elsewhere: its `sallyport connect` must name the URL that this one carries to", slog.String("this", f.url))
			agent.Refuse(in, out, fmt.Errorf("this socket carries to %s, and its client wants to go elsewhere: correct the URL of `sallyport connect`", f.url))
			return
		}
		_ = s.Serve(ctx, in, out) // it has said what went wrong
	}}
	return relay.Run(ctx, ln)
}

// shimConfig is all but the source.
func (a *app) shimConfig(f *connectFlags, log *slog.Logger) (shim.Config, error) {
	key, err := pop.NewKey()
	if err != nil {
		return shim.Config{}, err
	}
	cfg := shim.Config{URL: f.url, Key: key, Log: log, PlainHTTP: f.plainHTTP}
	if cfg.TLS, err = f.tls(); err != nil {
		return shim.Config{}, err
	}
	if len(f.measure) == 0 {
		return cfg, nil
	}
	folder, err := os.Getwd()
	if err != nil {
		return shim.Config{}, err
	}
	m, err := agent.NewMeasurer(folder, a.env["HOME"], f.measure)
	if err != nil {
		return shim.Config{}, errUsage{err.Error()}
	}
	cfg.Measure = m.Digest
	return cfg, nil
}

// tls returns nil where nothing of it is asked for.
func (f *connectFlags) tls() (*tls.Config, error) {
	if f.cert == "" && f.key == "" && f.ca == "" {
		return nil, nil
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	switch {
	case (f.cert == "") != (f.key == ""):
		return nil, errUsage{"--cert and --key go together: the certificate, and the key that it is for"}
	case f.cert != "":
		// Read for each connection: such certificates live for hours, and are replaced.
		if _, err := tls.LoadX509KeyPair(f.cert, f.key); err != nil {
			return nil, fmt.Errorf("read the client certificate: %w", err)
		}
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(f.cert, f.key)
			return &pair, err
		}
	}
	if f.ca != "" {
		text, err := os.ReadFile(f.ca)
		if err != nil {
			return nil, fmt.Errorf("read the authorities: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("read the authorities: %s holds no certificate in PEM", f.ca)
		}
	}
	return conf, nil
}
