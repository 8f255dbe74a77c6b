package builtin

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"unicode"

	pgquery "github.com/wasilibs/go-pgquery"
)

// Postgres is the one dialect that can be read: by PostgreSQL's own parser.
const Postgres = "postgres"

func (c Check) sqlErr() error {
	if c.Dialect != Postgres {
		return fmt.Errorf("the dialect %s cannot be read by this version; it reads %s. For another database use arguments that are values, not SQL", quote(c.Dialect), Postgres)
	}
	go Warm()
	return nil
}

// Warm makes the parser ready, which takes some seconds of one processor, once in a process.
func Warm() { warm() }

var warm = sync.OnceFunc(func() { _, _ = parser.parse("SELECT 1") })

// parser is PostgreSQL's, compiled to WebAssembly. One text at a time: a second instance would be
// compiled again. A text that makes it trap leaves it in a state that nobody knows, so from then on
// it reads nothing.
var parser sqlParser

type sqlParser struct {
	mu     sync.Mutex // guards broken, and the parser
	broken bool
}

func (p *sqlParser) parse(s string) (tree string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken {
		return "", errors.New("the parser has failed before; SQL is not read until the gateway starts again")
	}
	defer func() {
		if recover() != nil {
			p.broken, err = true, errors.New("the parser failed")
		}
	}()
	if tree, err = pgquery.ParseToJSON(s); err != nil {
		return "", errors.New("it is not SQL as PostgreSQL reads it")
	}
	return tree, nil
}

// maxTokens bounds the words and signs of a text. What nests needs at least one for each level, and
// the parser was seen to fail at some 150 nested SELECTs, which are 450.
const maxTokens = 300

func tokens(s string) (n int) {
	inWord := false
	for _, r := range s {
		word := r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r)
		if word && !inWord || !word && !unicode.IsSpace(r) {
			n++
		}
		inWord = word
	}
	return n
}

// sql takes one statement that reads. What is not known to read is refused: each kind of node of the
// parse tree, and each function, is on a list.
func (c Check) sql(s string) error {
	if c.Dialect != Postgres {
		return errors.New("its dialect cannot be read")
	}
	if err := unseen(s, "\n\t\r"); err != nil {
		return err
	}
	if strings.Contains(s, `\`) {
		return errors.New("it has a backslash, which servers read in different ways")
	}
	if n := tokens(s); n > maxTokens {
		return fmt.Errorf("it has %d words and signs; at most %d are read", n, maxTokens)
	}
	tree, err := parser.parse(s)
	if err != nil {
		return err
	}
	var doc struct {
		Stmts []struct{ Stmt map[string]any }
	}
	if json.Unmarshal([]byte(tree), &doc) != nil {
		return errors.New("it cannot be read")
	}
	if len(doc.Stmts) != 1 {
		return fmt.Errorf("it has %d statements; write one", len(doc.Stmts))
	}
	if doc.Stmts[0].Stmt["SelectStmt"] == nil {
		return errors.New("it is no SELECT or VALUES, which are all that may be sent")
	}
	return reads(doc.Stmts[0].Stmt, 0)
}

// nodes are the kinds of nodes that read and do nothing else.
var nodes = list("SelectStmt ResTarget ColumnRef String Integer Float Boolean A_Star A_Const A_Expr A_ArrayExpr A_Indices A_Indirection " +
	"Alias BoolExpr BooleanTest CaseExpr CaseWhen CoalesceExpr CollateClause CommonTableExpr FuncCall GroupingFunc GroupingSet JoinExpr List " +
	"MinMaxExpr NullTest RangeSubselect RangeVar RowExpr SortBy SQLValueFunction SubLink TypeCast TypeName WindowDef WithClause")

// functions are those that compute a value of their arguments, and nothing else.
var functions = list("abs avg array_agg array_length bool_and bool_or btrim cardinality ceil ceiling char_length concat concat_ws count cume_dist " +
	"date_part date_trunc dense_rank every exp extract first_value floor generate_series initcap json_agg jsonb_agg json_object_agg jsonb_object_agg " +
	"lag last_value lead left length ln lower lpad ltrim make_date max md5 min mod mode now nth_value ntile nullif octet_length percent_rank " +
	"percentile_cont percentile_disc position power rank replace reverse right round row_number rpad rtrim sign split_part sqrt stddev " +
	"stddev_pop stddev_samp string_agg strpos substr substring sum to_char to_date to_number to_timestamp translate trim trunc unnest upper " +
	"var_pop var_samp variance width_bucket age btrim overlay regexp_replace timezone json_build_object jsonb_build_object")

// changes are members of a SELECT that make it more than that.
var changes = map[string]string{"intoClause": "it makes a table (INTO)", "lockingClause": "it locks rows (FOR UPDATE, FOR SHARE)"}

const maxDepth = 100

func list(words string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(words) {
		out[w] = true
	}
	return out
}

// reads walks a parse tree. Names of nodes begin with a capital, names of members with a small one.
func reads(v any, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("it is nested more than %d deep", maxDepth)
	}
	switch v := v.(type) {
	case []any:
		for _, one := range v {
			if err := reads(one, depth+1); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if err := node(name, v[name]); err != nil {
				return err
			}
			if err := reads(v[name], depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func node(name string, v any) error {
	if why := changes[name]; why != "" {
		return errors.New(why)
	}
	if unicode.IsUpper(rune(name[0])) && !nodes[name] {
		return fmt.Errorf("it has a %s, which is not among what only reads", name)
	}
	of, _ := v.(map[string]any)
	switch {
	case name == "FuncCall":
		if f := names(of["funcname"]); len(f) != 1 && (len(f) != 2 || f[0] != "pg_catalog") || !functions[f[len(f)-1]] {
			return fmt.Errorf("it calls %s, which is not among the functions that only compute", quote(strings.Join(f, ".")))
		}
	case name == "A_Expr":
		if op := names(of["name"]); len(op) != 1 {
			return errors.New("it names an operator with its schema")
		}
	case name == "TypeName" || name == "typeName":
		if t := names(of["names"]); len(t) > 0 && strings.HasPrefix(t[len(t)-1], "reg") {
			return fmt.Errorf("it looks names of the database up (%s)", quote(t[len(t)-1]))
		}
	case name == "RangeVar" || name == "relation":
		rel, _ := of["relname"].(string)
		schema, _ := of["schemaname"].(string)
		if strings.HasPrefix(rel, "pg_") || schema == "pg_catalog" || schema == "information_schema" {
			return fmt.Errorf("it reads %s, the database's own table", quote(rel))
		}
	}
	return nil
}

// names are the parts of a qualified name.
func names(v any) []string {
	parts, _ := v.([]any)
	out := []string{}
	for _, p := range parts {
		p, _ := p.(map[string]any)
		s, _ := p["String"].(map[string]any)
		text, _ := s["sval"].(string)
		out = append(out, text)
	}
	return out
}
