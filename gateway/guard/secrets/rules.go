package secrets

import (
	"fmt"
	"math"
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"

	"github.com/spf13/viper"
	"github.com/zricethezav/gitleaks/v8/config"
)

// rule is one of gitleaks' rules, prepared for windows of text.
type rule struct {
	id      string
	re      *regexp.Regexp
	group   int     // of the secret; 0 is the first that matched something
	entropy float64 // the secret must have more
	allow   []allowlist
	generic bool // gives way to any other rule that found the same

	keywords []string // of which the library wants one somewhere in the text

	opening *regexp.Regexp // of a rule for PEM keys: what one begins with
	options [][]byte       // of a rule for commands, of which one must be in it

	// Of a rule of the form "name, assignment, value", what the value looks like; nil for others.
	values []shape
	reach  int // how far behind the name they can end; unbounded where they have no longest
	// What a value must have in order to be worth a look: see [rule.poor].
	distinct    int
	needsSymbol bool
}

// assignment is what the rules for values without a form of their own put between the name and
// the value.
const assignment = `(?:[ \t\w.-]{0,20})[\s'"]{0,3}(?:=|>|:{1,3}=|\|\||:|=>|\?=|,)[\x60'"\s=]{0,5}`

// onlyLetters is the allowlist with which a rule leaves words alone.
const onlyLetters = `^[a-zA-Z_.-]+$`

// ruleset is what all scanners share. Immutable.
type ruleset struct {
	rules  []*rule
	index  *index
	global []allowlist
}

// rules are compiled when a scanner first needs them: they take longer than a command that
// scans nothing.
var rules = sync.OnceValues(func() (*ruleset, error) { return compileRules(config.DefaultConfig) })

func compileRules(toml string) (*ruleset, error) {
	v := viper.New()
	v.SetConfigType("toml")
	if err := v.ReadConfig(strings.NewReader(toml)); err != nil {
		return nil, fmt.Errorf("read the rules for secrets: %w", err)
	}
	var raw config.ViperConfig
	if err := v.Unmarshal(&raw); err != nil {
		return nil, fmt.Errorf("read the rules for secrets: %w", err)
	}
	c, err := raw.Translate()
	if err != nil {
		return nil, fmt.Errorf("compile the rules for secrets: %w", err)
	}
	global, err := newAllowlists(c.Allowlists)
	if err != nil {
		return nil, fmt.Errorf("compile the rules for secrets: %w", err)
	}
	rs := &ruleset{global: global}
	b := &indexBuilder{}
	for _, id := range c.OrderedRules {
		// A rule that asks for the name of a file has none to ask.
		if r := c.Rules[id]; r.Regex != nil && r.Path == nil && !r.SkipReport {
			if err := rs.add(r, b); err != nil {
				return nil, fmt.Errorf("compile the rule %s for secrets: %w", id, err)
			}
		}
	}
	rs.index = b.build()
	return rs, nil
}

func (rs *ruleset) add(c config.Rule, b *indexBuilder) error {
	allow, err := newAllowlists(c.Allowlists)
	if err != nil {
		return err
	}
	r := &rule{
		id: c.RuleID, re: c.Regex, group: c.SecretGroup, entropy: c.Entropy, allow: allow,
		generic: strings.Contains(c.RuleID, "generic"), keywords: c.Keywords,
	}
	rs.rules = append(rs.rules, r)
	source := c.Regex.String()
	if names, values, ok := assignmentOf(source); ok {
		r.assigns(values)
		for _, s := range names {
			p, ok := newName(r, s)
			if !ok {
				return fmt.Errorf("a name has no three bytes to look for")
			}
			b.add(p)
		}
		return nil
	}
	if opening, ok := strings.CutSuffix(source, pemBody); ok {
		r.opening, source = c.Regex, opening
		r.opening = regexp.MustCompile(opening)
	}
	if strings.HasPrefix(source, `\bcurl\b`) {
		for _, option := range []string{"-H", "--header", "-u", "--user"} {
			if strings.Contains(source, option+"|") || strings.Contains(source, "|"+option+")") {
				r.options = append(r.options, []byte(option))
			}
		}
	}
	re, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return err
	}
	for _, s := range shapesOf(re) {
		if p, ok := newPattern(r, s); ok {
			b.add(p)
		} else if err := b.addHints(r); err != nil {
			return err
		}
	}
	return nil
}

// addHints makes the keywords of a rule, a match of which may have no three bytes to look for,
// tell that the rule is to look at the whole text. The library asks for them as well.
func (b *indexBuilder) addHints(r *rule) error {
	for _, k := range r.keywords {
		re, err := syntax.Parse("(?i)"+regexp.QuoteMeta(k), syntax.Perl)
		if err != nil {
			return err
		}
		p, ok := newPattern(r, shapesOf(re)[0])
		if !ok {
			return fmt.Errorf("the keyword %q has no three bytes to look for", k)
		}
		p.hint = true
		b.add(p)
	}
	if len(r.keywords) == 0 {
		return fmt.Errorf("it has neither three bytes to look for nor keywords")
	}
	return nil
}

// assignmentOf returns the shapes of names and values of an expression that has the assignment
// between them.
func assignmentOf(source string) (names, values []shape, ok bool) {
	before, after, ok := strings.Cut(source, assignment)
	if !ok || strings.Contains(after, assignment) {
		return nil, nil, false
	}
	flags := ""
	if strings.HasPrefix(before, "(?i)") {
		flags = "(?i)"
	}
	name, err := syntax.Parse(before, syntax.Perl)
	if err != nil {
		return nil, nil, false // the assignment is within a group
	}
	value, err := syntax.Parse(flags+after, syntax.Perl)
	if err != nil || name.Op == syntax.OpAlternate || value.Op == syntax.OpAlternate {
		return nil, nil, false
	}
	return shapesOf(name), shapesOf(value), true
}

// assigns makes r a rule for values that follow a name.
func (r *rule) assigns(values []shape) {
	r.values = values
	for _, s := range values {
		r.reach = wider(r.reach, s.longest())
	}
	if r.reach != unbounded {
		r.reach += mostBetween
	}
	r.distinct = 1
	for r.entropy > 0 && math.Log2(float64(r.distinct)) <= r.entropy {
		r.distinct++
	}
	for _, a := range r.allow {
		if a.RegexTarget != "" || a.MatchCondition != config.AllowlistMatchOr {
			continue
		}
		for _, re := range a.Regexes {
			r.needsSymbol = r.needsSymbol || re.String() == onlyLetters
		}
	}
}
