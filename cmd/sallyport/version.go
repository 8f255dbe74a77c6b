package main

import (
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/gateway/wire"
)

// version is set by the linker for a release.
var version = "dev" // -ldflags -X can set nothing else

type versionInfo struct {
	Version  string   `json:"version"`
	Commit   string   `json:"commit"`
	Go       string   `json:"go"`
	Platform string   `json:"platform"`
	Protocol []string `json:"protocol"` // newest first
}

func (a *app) newVersion() *cobra.Command {
	cmd := &cobra.Command{Use: "version", Short: "Say version, commit, Go and protocol revisions", Args: cobra.NoArgs}
	asJSON := outputFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		v := versionInfo{Version: version, Commit: commit(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
			Protocol: []string{wire.V20260728, wire.V20251125, wire.V20250618, wire.V20250326}}
		if is, err := asJSON(); err != nil || is {
			return orElse(err, func() error { return a.printJSON(v) })
		}
		return a.printf("sallyport %s\ncommit %s\n%s %s\nMCP %s\n", v.Version, v.Commit, v.Go, v.Platform, strings.Join(v.Protocol, " "))
	}
	return cmd
}

func orElse(err error, then func() error) error {
	if err != nil {
		return err
	}
	return then()
}

func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	revision, dirty := "unknown", ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			revision = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				dirty = " with changes"
			}
		}
	}
	return revision + dirty
}
