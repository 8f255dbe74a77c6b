package main

import (
	"context"
	"fmt"

	"sallyport/gateway/config"
)

// examineRollout looks at what is asked and not obeyed, and at what the record keeps for asking
// again.
func examineRollout(ctx context.Context, cfg *config.Config) []check {
	var checks []check
	if !cfg.Enforce {
		checks = append(checks, check{"enforcement", true, "record-only: policies decide and are recorded, and refuse nothing; `enforce: true` when the record shows what you expect (docs/rollout.md)"})
	}
	switch shadow, err := cfg.LoadShadow(ctx); {
	case err != nil:
		checks = append(checks, check{"shadow", false, err.Error() + "; until it loads nothing is compared"})
	case shadow != nil:
		checks = append(checks, check{"shadow", true, fmt.Sprintf("%s compiles and passes its tests; it changes nothing", cfg.Shadow)})
	}
	if n := len(cfg.Audit.Recipients); n > 0 {
		checks = append(checks, check{"inputs", true, fmt.Sprintf("sealed for %d recipients; whoever has none of their identities cannot replay them", n)})
	}
	return checks
}
