package config

import (
	"os"
	"path/filepath"
	"slices"
)

// secretsDir holds what `adopt` takes out of a client's file.
const secretsDir = "secrets"

// hidden is what no server may see, whatever it may read: all that is below the state directory
// but the caches of package runners, which servers write.
func hidden(state string) []string {
	names := []string{keysDir, logDir, actsDir, secretsDir}
	if entries, err := os.ReadDir(state); err == nil { // what cannot be listed has the names above all the same
		for _, e := range entries {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	var out []string
	for _, name := range slices.Compact(names) {
		if name != cacheDir {
			out = append(out, filepath.Join(state, name))
		}
	}
	return out
}
