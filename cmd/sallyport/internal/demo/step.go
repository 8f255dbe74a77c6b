package demo

import (
	"encoding/json"
	"fmt"
	"strings"
)

// What a call through the gateway can come to, as the record names it.
const (
	allowed = "allow"
	denied  = "denied"
	unknown = "unknown_tool"
	invalid = "invalid_input"
)

// step is one call and what must come of it.
type step struct {
	server, tool string
	arguments    []argument
	want         string // allowed, denied …; straight at a server: allowed
	text         string // what the answer must contain
	quote        bool   // print the whole answer
}

type argument struct {
	name  string
	value string // JSON
}

// with makes arguments of names and values in turn.
func with(pairs ...any) []argument {
	var list []argument
	for i := 0; i+1 < len(pairs); i += 2 {
		list = append(list, argument{fmt.Sprint(pairs[i]), toJSON(pairs[i+1])})
	}
	return list
}

// object is the arguments as they are sent.
func object(list []argument) string {
	members := make([]string, len(list))
	for i, a := range list {
		members[i] = toJSON(a.name) + ":" + a.value
	}
	return "{" + strings.Join(members, ",") + "}"
}

// toJSON is for strings and lists of strings.
func toJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("demo: a string that does not marshal: " + err.Error()) // cannot be reached
	}
	return string(b)
}
