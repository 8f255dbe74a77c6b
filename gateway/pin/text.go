package pin

import (
	"fmt"

	"sallyport/gateway/catalog"
	"sallyport/gateway/guard/hidden"
)

// unseen says why a definition is not pinned at first sight, or returns nil: somewhere in it is
// text that a reader does not see.
func unseen(raw []byte) error {
	if hidden.Clean(raw) {
		return nil
	}
	return catalog.EachText(raw, func(pointer, text string) error {
		if err := hidden.Check(text); err != nil {
			return fmt.Errorf("%s: %w", catalog.Place(pointer), err)
		}
		return nil
	})
}
