package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"sallyport/gateway/sandbox"
)

// The same binary plays the small parts: `bench ROLE …`. Without a role it conducts.
var roles = map[string]func(args []string) error{
	"load":         loadMain,
	"streams":      streamsMain,
	"sse":          sseMain,
	"revoke":       revokeMain,
	"upstream":     upstreamMain,
	"reverseproxy": reverseProxyMain,
	"fileserver":   fileServerMain,
	"mcpgo":        mcpgoMain,
	"child":        childMain,
	"pipe":         pipeMain,
}

func main() {
	if sandbox.Reexecuted() {
		sandbox.Main()
	}
	if len(os.Args) > 1 {
		if role, ok := roles[os.Args[1]]; ok {
			exit(role(os.Args[2:]))
		}
	}
	exit(conduct())
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// options are the conductor's flags.
type options struct {
	binary   string
	nginx    string
	opa      string
	json     string
	rounds   int
	duration time.Duration
	callers  int
	only     string
	reportTo string
	beside   string
	buildsOf string
	sizesOf  string
	profile  string
	upstream string
}

func conduct() error {
	var o options
	flag.StringVar(&o.binary, "sallyport", "", "the gateway's binary; default: build it")
	flag.StringVar(&o.nginx, "nginx", os.Getenv("BENCH_NGINX"), "nginx's binary; \"\" leaves it out")
	flag.StringVar(&o.opa, "opa", os.Getenv("BENCH_OPA"), "opa's binary; \"\" leaves the group policy out")
	flag.StringVar(&o.json, "json", os.Getenv("BENCH_JSON"), "file for the numbers")
	flag.IntVar(&o.rounds, "rounds", 5, "interleaved rounds")
	flag.DurationVar(&o.duration, "duration", 2*time.Second, "length of one measurement")
	flag.IntVar(&o.callers, "callers", 16, "concurrent callers")
	flag.StringVar(&o.only, "only", "", "groups, with commas: throughput, latency, guards, scan, lists, rules, streams, federation, stdio, starts, identity, policy, replay, audit, verify, builds, sdk, single, cold, stages, ready or flat")
	flag.StringVar(&o.reportTo, "report", "", "directory for the report: Markdown, JSON, a page with the curves, and the raw histograms")
	flag.StringVar(&o.beside, "beside", "", "NAME=URL of another gateway, which runs before the server at -upstream")
	flag.StringVar(&o.buildsOf, "builds", "", "NAME=BINARY,… of builds of the gateway, which the group builds compares with the first of them")
	flag.StringVar(&o.sizesOf, "sizes", "300B,10KB,1MB", "sizes of calls in the groups throughput and builds")
	flag.StringVar(&o.profile, "profile", "", "directory for profiles of the gateway's processor, one for each size, in the group throughput")
	flag.StringVar(&o.upstream, "upstream", "", "address of the server of throughput and latency; default: a free one")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	b, err := newBench(ctx, o)
	if err != nil {
		return err
	}
	defer b.close()
	for _, group := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"throughput", b.throughput},
		{"latency", b.latency},
		{"lists", b.lists},
		{"guards", b.guards},
		{"scan", b.scan},
		{"rules", b.rules},
		{"streams", b.streams},
		{"federation", b.federation},
		{"stdio", b.stdio},
		{"starts", b.starts},
		{"identity", b.identity},
		{"policy", b.policy},
		{"replay", b.replay},
		{"audit", b.audit},
		{"verify", b.verifyRecord},
		{"builds", b.builds},
		{"sdk", b.sdk},
		{"single", b.single},
		{"cold", b.cold},
		{"stages", b.stages},
		{"ready", b.coldStart},
		{"flat", b.flat},
	} {
		if o.only != "" && !slices.Contains(strings.Split(o.only, ","), group.name) {
			continue
		}
		if err := group.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", group.name, err)
		}
	}
	return errors.Join(b.report.write(o.json), b.report.pages(o.reportTo))
}
