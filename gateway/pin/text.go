package pin

import (
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"

	"sallyport/gateway/catalog"
)

// hiddenText says where a definition has text that a reader does not see, or returns nil.
func hiddenText(raw []byte) error {
	return catalog.EachText(raw, func(pointer, text string) error {
		if err := hiddenCheck(text); err != nil {
			return fmt.Errorf("%s: %w", pointer, err)
		}
		return nil
	})
}

// unseen says why a definition is not pinned at first sight, or returns nil: it has text that a
// reader does not see.
func unseen(raw []byte) error {
	if err := catalog.CheckSteering(raw); err != nil {
		return err
	}
	return hiddenText(raw)
}

func hiddenCheck(s string) error {
	for i, r := range s {
		if r != '\n' && r != '\t' && r != '\r' && r >= utf8.RuneSelf && !unicode.IsGraphic(r) || r < ' ' && r != '\n' && r != '\t' && r != '\r' {
			return fmt.Errorf("U+%04X at byte %d", r, i)
		}
	}
	return nil
}

// ErrLocked is wrapped where another process writes the pins.
var ErrLocked = errors.New("another process writes them: a gateway that runs, or a command; stop it, or use another state directory")
