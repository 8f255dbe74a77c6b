package entry

import (
	"encoding/json"
	"strings"
)

// Helper is the command that a client runs for its token: program with the configuration file,
// for a role. A client runs it from wherever it was started, so both paths should be absolute.
func Helper(program, config, role string) string { return command(program, "headers", config, role) }

// Token is the command that prints a token alone, for clients that take one.
func Token(program, config, role string) string { return command(program, "mint", config, role) }

func command(program, verb, config, role string) string {
	return Shell(program) + " token " + verb + " --config " + Shell(config) + " --role " + Shell(role)
}

// HTTP is a server of Claude Code's `.mcp.json`, as JSON: a URL, and the helper that makes its
// headers.
func HTTP(url, helper string) string {
	return `{"type":"http","url":` + quote(url) + `,"headersHelper":` + quote(helper) + `}`
}

// Inspector is the command by which the MCP Inspector lists the tools at url.
func Inspector(url, token string) string {
	return "npx @modelcontextprotocol/inspector@2 --cli --server-url " + url + " --transport http --method tools/list --header \"Authorization: Bearer $(" + token + ")\""
}

func quote(s string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a text always can be
	return strings.TrimSpace(b.String())
}

// Shell quotes a word for a POSIX shell where it needs it.
func Shell(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+=:@,", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
