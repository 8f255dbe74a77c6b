package mutation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
)

// ofData returns the mutants of a data file: each member and element taken out, each number moved
// by one, each truth turned round, each other text of an object changed, also into the next one
// that stands beside it (a bound into a wider one), and each text that ends with a slash without it.
func ofData(name string, src []byte) ([]Mutant, error) {
	d := json.NewDecoder(bytes.NewReader(src))
	d.UseNumber()
	var doc any
	if err := d.Decode(&doc); err != nil {
		return nil, err
	}
	var out []Mutant
	mutate(doc, "", func(what string, changed any) {
		text, err := json.Marshal(changed)
		if err != nil {
			panic(err) // it came out of JSON
		}
		out = append(out, Mutant{ID: name + " " + what, File: name, Text: text})
	})
	return out, nil
}

// mutate gives emit each changed form of v, and what was changed.
func mutate(v any, at string, emit func(what string, changed any)) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			here := at + "/" + k
			rest := maps.Clone(v)
			delete(rest, k)
			emit(here+": drop", rest)
			with := func(what string, changed any) {
				out := maps.Clone(v)
				out[k] = changed
				emit(what, out)
			}
			mutate(v[k], here, with)
			if s, ok := v[k].(string); ok {
				if other := nextText(v, s); other != s {
					with(fmt.Sprintf("%s: %q becomes %q", here, s, other), other)
				}
			}
		}
	case []any:
		for i, e := range v {
			here := fmt.Sprintf("%s/%d", at, i)
			emit(here+": drop", slices.Delete(slices.Clone(v), i, i+1))
			mutate(e, here, func(what string, changed any) {
				if _, plain := e.(string); plain && strings.HasSuffix(what, ": change") {
					return // to change it is to take it out
				}
				out := slices.Clone(v)
				out[i] = changed
				emit(what, out)
			})
		}
	case string:
		emit(at+": change", v+"~")
		if cut, ok := strings.CutSuffix(v, "/"); ok {
			emit(at+": without the slash", cut)
		}
	case bool:
		emit(at+": turn round", !v)
	case json.Number:
		if n, ok := new(big.Rat).SetString(string(v)); ok {
			_, fraction, _ := strings.Cut(string(v), ".")
			decimals := len(fraction)
			for _, by := range []int64{1, -1} {
				moved := new(big.Rat).Add(n, big.NewRat(by, 1)).FloatString(decimals)
				emit(fmt.Sprintf("%s: %s becomes %s", at, v, moved), json.Number(moved))
			}
		}
	}
}

// nextText is the text after s, in their order, among the texts of an object, or the first.
func nextText(o map[string]any, s string) string {
	var all []string
	for _, v := range o {
		if t, ok := v.(string); ok {
			all = append(all, t)
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return all[(slices.Index(all, s)+1)%len(all)]
}
