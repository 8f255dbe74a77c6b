package strictjson

import (
	"bytes"
	"fmt"
)

// CheckArguments applies the name rule of tool arguments to an object that has passed
// [Check]: at the top level no name may fold to one of known (fold → exact name; the tool's
// schema properties and the keys that the policy reads) without being it, and at every depth
// no two siblings may fold alike. Otherwise argument names are free.
func CheckArguments(args []byte, known ...map[string]string) error {
	if len(args) == 0 {
		return nil
	}
	var failed error
	err := EachMember(args, func(m Member) {
		fold := Fold(m.Name)
		for _, set := range known {
			if exact, ok := set[fold]; ok && exact != m.Name && failed == nil {
				failed = &Error{Offset: int64(m.NameStart),
					What: fmt.Sprintf("argument name %s would be read as %q by a parser that ignores case", quoteName([]byte(m.Name)), exact)}
			}
		}
	})
	if err != nil || failed != nil {
		return firstOf(err, failed)
	}
	return siblings(args, 0)
}

func firstOf(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// siblings refuses two members of one object that fold alike, at every depth. Objects whose
// names are all lower-case ASCII cannot clash, since exact duplicates were refused before.
func siblings(v []byte, base int) error {
	if !bytes.ContainsAny(v, "{") {
		return nil
	}
	if v[0] == '[' {
		spans, err := Array(v)
		if err != nil {
			return err
		}
		for _, s := range spans {
			if err := siblings(s.Of(v), base+s.Start); err != nil {
				return err
			}
		}
		return nil
	}
	if v[0] != '{' {
		return nil
	}
	members, err := Object(v)
	if err != nil {
		return err
	}
	if err := siblingNames(members, base); err != nil {
		return err
	}
	for _, m := range members {
		if err := siblings(m.Value().Of(v), base+m.Start); err != nil {
			return err
		}
	}
	return nil
}

func siblingNames(members []Member, base int) error {
	mixed := false
	for _, m := range members {
		mixed = mixed || !isFolded([]byte(m.Name))
	}
	if !mixed {
		return nil
	}
	seen := make(map[string]string, len(members))
	for _, m := range members {
		fold := Fold(m.Name)
		if other, dup := seen[fold]; dup {
			return &Error{Offset: int64(base + m.NameStart),
				What: fmt.Sprintf("argument names %s and %s differ only in case", quoteName([]byte(other)), quoteName([]byte(m.Name)))}
		}
		seen[fold] = m.Name
	}
	return nil
}
