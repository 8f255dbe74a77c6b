package catalog

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"sallyport/internal/strictjson"
)

// Canonical returns the one form of a JSON value that has passed the strict check: no white space,
// members in the order of their names, strings with no more escapes than JSON needs. Numbers stay
// as they are written: 1.0 and 1 are two texts, and no float64 comes between. Two values with one
// canonical form say the same; any other difference shows. It fails only on what is not JSON.
func Canonical(doc []byte) ([]byte, error) {
	return canonical(make([]byte, 0, len(doc)), trim(doc))
}

// Digest returns "sha256:" and the hex digest of the canonical form of a definition, or of the
// bytes as they are where they are not JSON.
func Digest(doc []byte) string {
	form, err := Canonical(doc)
	if err != nil {
		form = doc
	}
	sum := sha256.Sum256(form)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func trim(doc []byte) []byte {
	i, end := space(doc, 0), len(doc)
	for end > i && space(doc[:end], end-1) == end {
		end--
	}
	return doc[i:end]
}

func canonical(dst, value []byte) ([]byte, error) {
	if len(value) == 0 {
		return nil, fmt.Errorf("canonical form: no value")
	}
	switch value[0] {
	case '{':
		return canonicalObject(dst, value)
	case '[':
		elements, err := strictjson.Array(value)
		if err != nil {
			return nil, fmt.Errorf("canonical form: %w", err)
		}
		dst = append(dst, '[')
		for i, e := range elements {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = canonical(dst, e.Of(value)); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	case '"':
		text, err := strictjson.String(value)
		if err != nil {
			return nil, fmt.Errorf("canonical form: %w", err)
		}
		return strictjson.AppendString(dst, text), nil
	}
	return append(dst, value...), nil
}

func canonicalObject(dst, value []byte) ([]byte, error) {
	members, err := strictjson.Object(value)
	if err != nil {
		return nil, fmt.Errorf("canonical form: %w", err)
	}
	slices.SortFunc(members, func(a, b strictjson.Member) int { return strings.Compare(a.Name, b.Name) })
	dst = append(dst, '{')
	for i, m := range members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(strictjson.AppendString(dst, m.Name), ':')
		if dst, err = canonical(dst, m.Value().Of(value)); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}
