package builtin

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/text/unicode/norm"
)

func (c Check) pathErr() error {
	if len(c.Within) == 0 {
		return errors.New("a check of kind path wants within, the directories that the path must be below")
	}
	for _, root := range c.Within {
		if !filepath.IsAbs(root) {
			return fmt.Errorf("the root %s is not absolute", quote(root))
		}
	}
	return nil
}

// percent is an escape that somebody may undo before the file is opened.
var percent = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// drive is how paths begin on Windows.
var drive = regexp.MustCompile(`^[A-Za-z]:`)

func (c Check) path(s string) error {
	clean, err := plainPath(s)
	if err != nil {
		return err
	}
	why := errors.New("there is no root that it could be below")
	for _, root := range c.Within {
		if why = within(clean, root); why == nil {
			return nil
		}
	}
	if len(c.Within) > 1 {
		return fmt.Errorf("%s is below none of the %d roots", quote(s), len(c.Within))
	}
	return why
}

// plainPath refuses what a server could read as another path than it says, and returns the path
// without what says nothing.
func plainPath(s string) (string, error) {
	if err := unseen(s, " "); err != nil {
		return "", err
	}
	switch folded := norm.NFKC.String(s); {
	case strings.Contains(s, `\`):
		return "", errors.New("it has a backslash; write /")
	case percent.MatchString(s):
		return "", errors.New("it has a percent-encoded character; write the character itself")
	case strings.Contains(s, "://") || strings.HasPrefix(strings.ToLower(s), "file:"):
		return "", errors.New("it is a URL; write the path alone")
	case drive.MatchString(s), strings.HasPrefix(s, "//"):
		return "", errors.New("it names a drive or a host; write a path from /")
	case strings.HasPrefix(s, "~"):
		return "", errors.New("it begins at a home directory; write a path from /")
	case !strings.HasPrefix(s, "/"):
		return "", errors.New("it is relative, and to what only the server knows; write it from /")
	case folded != s && (strings.Count(folded, "/") != strings.Count(s, "/") || strings.Count(folded, ".") != strings.Count(s, ".") || strings.Contains(folded, `\`)):
		return "", errors.New("it has a character that may be read as / or a dot")
	}
	for segment := range strings.SplitSeq(s, "/") {
		if strings.Trim(segment, " ") == ".." {
			return "", errors.New("it goes up (..); write where it leads to")
		}
	}
	return filepath.Clean(s), nil
}

// within says why a clean path is not below root. Where the root is on this machine, what lies on the
// way is followed as the server would follow it: a link below the root that leads out of it is not
// below it.
func within(clean, root string) error {
	root = filepath.Clean(root)
	if !below(clean, root) {
		return fmt.Errorf("%s is not below %s", quote(clean), quote(root))
	}
	real, err := filepath.EvalSymlinks(root)
	if errors.Is(err, os.ErrNotExist) {
		return nil // it is on another machine, or there is nothing to open
	}
	if err != nil {
		return fmt.Errorf("%s cannot be looked at, so nobody knows where links below it lead", quote(root))
	}
	for at := clean; ; at = filepath.Dir(at) {
		_, err := os.Lstat(at)
		if errors.Is(err, os.ErrNotExist) && at != root && at != "/" {
			continue // it may be about to be made; then where it is made counts
		}
		if err != nil {
			return fmt.Errorf("%s cannot be looked at, so nobody knows where it leads", quote(at))
		}
		led, err := filepath.EvalSymlinks(at)
		if err != nil || !below(led, real) {
			return fmt.Errorf("%s leads out of %s by a link", quote(at), quote(root))
		}
		return nil
	}
}

func below(path, root string) bool {
	return root == "/" || path == root || strings.HasPrefix(path, root+"/")
}
