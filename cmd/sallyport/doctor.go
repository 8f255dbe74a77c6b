package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/gateway/admin"
	"sallyport/gateway/config"
	"sallyport/gateway/sandbox"
)

// check is one thing that the doctor looked at.
type check struct {
	What string `json:"what"`
	Fine bool   `json:"fine"`
	Text string `json:"text"` // what was found and, where it is not fine, the cure
}

func (a *app) newDoctor() *cobra.Command {
	cmd := &cobra.Command{Use: "doctor", Short: "Say what is wrong with this installation, and the cure", Args: cobra.NoArgs,
		Long: "Looks at the configuration, the state directory and its keys, the policies and their tests,\n" +
			"each MCP server, its definitions and what is said of its tools, the sandbox where one is used, the\n" +
			"issuers of outside identities, what of the machine runs out, the socket and the addresses. Exits 3 when something is wrong."}
	asJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		is, err := asJSON()
		if err != nil {
			return err
		}
		checks := a.examine(cmd.Context())
		if is {
			err = a.printJSON(checks)
		} else {
			for _, c := range checks {
				mark := "ok   "
				if !c.Fine {
					mark = "WRONG"
				}
				err = errors.Join(err, a.printf("%s  %s: %s\n", mark, c.What, c.Text))
			}
		}
		wrong := slices.ContainsFunc(checks, func(c check) bool { return !c.Fine })
		return orElse(err, func() error { return no(wrong) })
	}
	return cmd
}

func (a *app) examine(ctx context.Context) []check {
	cfg, err := config.Load(a.file, a.env)
	if err == nil {
		err = cfg.CheckFiles()
	}
	if problems, ok := errors.AsType[config.Problems](err); ok {
		var checks []check
		for _, p := range problems {
			checks = append(checks, check{"configuration", false, p.String()})
		}
		if hint := a.hint(); hint != nil {
			checks = append(checks, check{"configuration", false, hint.Error()})
		}
		if cfg == nil {
			return checks
		}
		return append(checks, a.examineParts(ctx, cfg)...)
	}
	if err != nil {
		return []check{{"configuration", false, err.Error()}}
	}
	return append([]check{{"configuration", true, name(cfg)}}, a.examineParts(ctx, cfg)...)
}

func (a *app) examineParts(ctx context.Context, cfg *config.Config) []check {
	var checks []check
	add := func(what, fine string, err error) {
		c := check{what, true, fine}
		if err != nil {
			c.Fine, c.Text = false, err.Error()
		}
		checks = append(checks, c)
	}
	socket, runs := examineSocket(ctx, cfg)
	keys, err := cfg.OpenKeys()
	text := cfg.State
	if err == nil {
		text = fmt.Sprintf("%s, %d signing keys", cfg.State, len(keys.List()))
		if !runs { // else it has all of it open already
			err = cfg.CheckState(ctx)
		}
	}
	add("state", text, oneLine(err))
	policies, notes := a.examinePolicies(ctx, cfg)
	checks = append(checks, policies...)
	checks = append(checks, examineRollout(ctx, cfg)...)
	if note, older := compiler(runtime.Version()); older {
		notes = append(notes, note)
	}
	for _, n := range append(notes, cfg.Notes()...) {
		add("note", n, nil)
	}
	probed := cfg.Probe(ctx)
	boxed := false
	for _, access := range cfg.Access() {
		boxed = boxed || access.Isolation == "process"
		found, cure := "answers at "+access.URL, "see that it runs and that its url is that of its MCP endpoint"
		if access.Type == "stdio" {
			found, cure = access.Command+" runs and answers", "what it may read, write and reach: `sallyport config show`. A program of several files wants its folder: `sandbox: {read: [FOLDER]}`"
		}
		err := probed[access.Server]
		if err != nil {
			err = fmt.Errorf("%w; %s", err, cure)
		}
		add("server "+access.Server, found, err)
	}
	known, found := a.examinePins(ctx, cfg)
	checks = append(checks, found...)
	checks = append(checks, examineMarks(ctx, cfg, known)...)
	if boxed {
		add("sandbox", "this machine has all that it needs", sandbox.Check().Missing())
	}
	if n := len(cfg.Identity.Federation); n > 0 {
		add("outside identities", fmt.Sprintf("%d rules, and the keys of each can be read", n), oneLine(cfg.ProbeIssuers(ctx)))
	}
	if runs {
		checks = append(checks, socket)
	}
	checks = append(checks, examineMachine(cfg)...)
	return append(checks, examineAddresses(ctx, cfg, runs)...)
}

// oneLine puts joined errors behind each other.
func oneLine(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(strings.Join(strings.Split(err.Error(), "\n"), "; "))
}

// examineSocket asks a gateway that runs what this user may ask for. runs is false where none does.
func examineSocket(ctx context.Context, cfg *config.Config) (c check, runs bool) {
	me, err := admin.Dial(cfg.Socket()).Whoami(ctx)
	switch {
	case errors.Is(err, admin.ErrNoServer):
		return check{}, false
	case err != nil:
		return check{"socket", false, err.Error()}, true
	case me.Operator:
		return check{"socket", true, fmt.Sprintf("%s, where %s is an operator: `sallyport grant list` says who may do what now", cfg.Socket(), me.User)}, true
	}
	return check{"socket", true, fmt.Sprintf("%s, where %s may ask for %s", cfg.Socket(), me.User, strings.Join(me.Roles, ", "))}, true
}

// examineAddresses looks whether the addresses are free, or those of the gateway of this state, which runs.
func examineAddresses(ctx context.Context, cfg *config.Config, runs bool) []check {
	checks := []check{examineAddress(ctx, cfg, runs)}
	if runs || !cfg.HasAdmin() {
		return checks
	}
	if ln, err := listen(ctx, cfg.Admin.Listen, "admin.listen", "SALLYPORT_ADMIN_LISTEN"); err != nil {
		checks = append(checks, check{"address", false, err.Error()})
	} else {
		_ = ln.Close() // it was only to see whether it is free
	}
	return checks
}

func examineAddress(ctx context.Context, cfg *config.Config, runs bool) check {
	ln, err := listen(ctx, cfg.Listen, "listen", "SALLYPORT_LISTEN")
	switch {
	case err == nil:
		_ = ln.Close() // it was only to see whether it is free
		return check{"address", true, cfg.Listen + " is free; start the gateway with `sallyport serve`"}
	case !runs:
		return check{"address", false, err.Error()} // of whoever it is, it is not the gateway of this state
	case !cfg.HasAdmin():
		return check{"address", true, cfg.Listen + " is taken, and a gateway runs with this state"}
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	status, failed := get(ctx, "http://"+cfg.Admin.Listen+"/readyz")
	switch {
	case failed != nil:
		return check{"address", false, fmt.Sprintf("a gateway runs with this state, and %s does not say whether it is ready: %v", cfg.Admin.Listen, failed)}
	case status == http.StatusOK:
		return check{"address", true, cfg.Listen + " is taken, and a gateway at " + cfg.Admin.Listen + " says that it is ready"}
	}
	return check{"address", false, "a gateway runs and is not ready; see http://" + cfg.Admin.Listen + "/readyz"}
}

func get(ctx context.Context, url string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	client := &http.Client{Transport: &http.Transport{DialContext: (&net.Dialer{}).DialContext, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}
