package strictjson

import "testing"

func TestSpansAreNotedInTheirPlaceOnly(t *testing.T) {
	keys := NewKeySet("name", "params", "arguments")
	scope := NewScope(keys, map[string]*Scope{
		"params": NewScope(keys, map[string]*Scope{
			"name":      NewScope(keys, nil).Capture(0),
			"arguments": (*Scope)(nil).Capture(1),
		}).Capture(2),
	})
	for _, tt := range []struct{ in, name, args string }{
		{`{"params":{"name":"a","arguments":{"name":"b"}}}`, `"a"`, `{"name":"b"}`},
		{`{"params":{"name":"a","x":{"name":"b","arguments":{}}}}`, `"a"`, ``},
		{`{"params":{"x":{"y":{"name":"b"}}}}`, ``, ``},
		{`{"params":{},"x":{"params":{"name":"b"}}}`, ``, ``},
		{`{"params":[{"name":"b"}]}`, ``, ``},
		{`{"params":{"name":{"name":"b"}}}`, `{"name":"b"}`, ``},
		{`[{"params":{"name":"b"}}]`, ``, ``},
		{`{"params":{"name":["b"],"x":[{"name":"c"}]}}`, `["b"]`, ``},
		{`{"p\u0061rams":{"n\u0061me" : "a" }}`, `"a"`, ``},
	} {
		spans := make([]Span, 3)
		if err := CheckSpans([]byte(tt.in), Limits{}, scope, spans); err != nil {
			t.Errorf("CheckSpans(%s) = %v", tt.in, err)
			continue
		}
		name, args := string(spans[0].Of([]byte(tt.in))), string(spans[1].Of([]byte(tt.in)))
		if name != tt.name || args != tt.args {
			t.Errorf("CheckSpans(%s) noted name %s, arguments %s; want %s, %s", tt.in, name, args, tt.name, tt.args)
		}
	}
}

func TestNamesAreGuardedBelowUnknownMembers(t *testing.T) {
	keys := NewKeySet("name", "params", "arguments")
	scope := NewScope(keys, map[string]*Scope{"arguments": nil})
	for _, bad := range []string{
		`{"x":{"NAME":1}}`,
		`{"x":[[{"NAME":1}]]}`,
		`{"x":{"arguments":{"NAME":1}}}`, // free at the top only
		`{"Arguments":{}}`,
	} {
		if err := CheckScope([]byte(bad), Limits{}, scope); err == nil {
			t.Errorf("CheckScope(%s) accepted", bad)
		}
	}
	if err := CheckScope([]byte(`{"arguments":{"NAME":{"PARAMS":[{"Name":1}]}}}`), Limits{}, scope); err != nil {
		t.Errorf("names below arguments: %v; want them free", err)
	}
}
