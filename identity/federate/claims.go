package federate

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"sallyport/identity"
	"sallyport/identity/jose"
	"sallyport/internal/strictjson"
)

// slack is how far another's clock may be ahead of ours. Expiry has none.
const slack = 30 * time.Second

// claims are the claims of a token that mean something here, read but not yet judged. What the
// rules ask for beside them is looked up in raw.
type claims struct {
	raw           []byte
	iss, sub, jti string
	aud           []string
	iat, exp, nbf int64
	issued        bool // has iat
	bound, acted  bool // has cnf, act
}

// known are the claim names that no other name may imitate.
var known = strictjson.Only(strictjson.NewKeySet("iss", "sub", "aud", "exp", "iat", "nbf", "jti", "cnf", "act"), nil)

// readClaims reads the claims of a document that jose.Parse has checked. A claim of the wrong
// type is never taken for an absent one.
func readClaims(raw []byte) (*claims, error) {
	if err := strictjson.CheckScope(raw, strictjson.Limits{}, known); err != nil {
		return nil, fmt.Errorf("%w: claims: %w", ErrDuplicate, err)
	}
	members, err := strictjson.Object(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: claims: %w", ErrMalformed, err)
	}
	c := &claims{raw: raw}
	seen := map[string]bool{}
	for _, m := range members {
		seen[m.Name] = true
		if err := c.read(m.Name, m.Value().Of(raw)); err != nil {
			return nil, fmt.Errorf("%w: %s %w", ErrClaim, m.Name, err)
		}
	}
	for _, name := range []string{"sub", "aud", "exp"} {
		if !seen[name] {
			return nil, fmt.Errorf("%w: %s is missing", ErrClaim, name)
		}
	}
	return c, nil
}

func (c *claims) read(name string, v []byte) (err error) {
	switch name {
	case "iss":
		c.iss, err = text(v)
	case "sub":
		c.sub, err = text(v)
	case "jti":
		c.jti, err = text(v)
	case "aud":
		c.aud, err = audience(v)
	case "iat":
		c.issued = true
		c.iat, err = seconds(v)
	case "exp":
		c.exp, err = seconds(v)
	case "nbf":
		c.nbf, err = seconds(v)
	case "cnf":
		c.bound = true
	case "act":
		c.acted = true
	}
	return err
}

// inTime says whether the token is good now, whoever's it is. nbf may lie before iat, as
// GitHub's does.
func (c *claims) inTime(now time.Time) error {
	switch {
	case !now.Before(time.Unix(c.exp, 0)):
		return ErrExpired
	case time.Unix(c.iat, 0).After(now.Add(slack)), time.Unix(c.nbf, 0).After(now.Add(slack)):
		return ErrNotYet
	}
	return nil
}

// find returns the text of the claim at path: a text, a whole number, true or false. why says
// what stands in the way, and is empty where the claim has a text.
func (c *claims) find(path []string) (value, why string) {
	v, ok := c.at(path)
	if !ok {
		return "", "is missing"
	}
	if v[0] == '"' {
		s, err := text(v)
		if err != nil {
			return "", err.Error()
		}
		return s, ""
	}
	if s := string(v); s == "true" || s == "false" || isWhole(s) {
		return s, ""
	}
	return "", "is no text, whole number, true or false"
}

// at returns the bytes of the claim at path.
func (c *claims) at(path []string) ([]byte, bool) {
	v := c.raw
	for _, name := range path {
		if v[0] != '{' {
			return nil, false
		}
		span, ok := strictjson.Find(v, name)
		if !ok {
			return nil, false
		}
		v = span.Of(v)
	}
	return v, true
}

// isWhole reports whether s is a whole number in its one plain spelling: 1e2 and 100.0 are legal
// JSON, but not everybody reads them as 100.
func isWhole(s string) bool {
	s = strings.TrimPrefix(s, "-")
	return s != "" && only(s, digits) && (s[0] != '0' || s == "0")
}

// parsePath reads the name of a claim. A slash goes one level down; ~1 is a slash in a name and
// ~0 a tilde, as in RFC 6901.
func parsePath(name string) ([]string, error) {
	path := strings.Split(name, "/")
	for i, step := range path {
		if step == "" {
			return nil, errors.New("names no claim; write it as in the token, with / between levels and ~1 for a slash in a name")
		}
		if strings.Contains(strings.NewReplacer("~0", "", "~1", "").Replace(step), "~") {
			return nil, errors.New("has a ~ that is neither ~0 (a tilde) nor ~1 (a slash)")
		}
		path[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
	}
	return path, nil
}

func text(v []byte) (string, error) {
	s, err := strictjson.String(v)
	if err != nil {
		return "", errors.New("is not a string")
	}
	return s, identity.CheckText(s)
}

// audience reads aud, which RFC 7519 §4.1.3 allows as a string and as a list.
func audience(v []byte) ([]string, error) {
	if v[0] == '"' {
		s, err := text(v)
		return []string{s}, err
	}
	list, err := jose.Strings(v)
	if err != nil || len(list) == 0 {
		return nil, errors.New("is not a string or a list of strings")
	}
	for _, s := range list {
		if err := identity.CheckText(s); err != nil {
			return nil, fmt.Errorf("has an element that %w", err)
		}
	}
	return list, nil
}

// seconds reads a NumericDate that is a plain whole number before the year 10000.
func seconds(v []byte) (int64, error) {
	const most = 253402300799
	var n int64
	if s := string(v); len(s) > 12 || !isWhole(s) || s[0] == '-' {
		return 0, errors.New("is not a whole number of seconds")
	}
	for _, c := range v {
		n = n*10 + int64(c-'0')
	}
	if n > most {
		return 0, errors.New("is after the year 9999")
	}
	return n, nil
}
