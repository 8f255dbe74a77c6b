package entry

import (
	"encoding/json"
	"slices"
	"strings"
)

// Connect is the command that carries a client to url with a grant for a role: program with the
// configuration file. A client runs it from wherever it was started, so both paths should be
// absolute.
func Connect(program, config, url, role string) []string {
	return []string{program, "connect", url, "--config", config, "--role", role}
}

// Token is the command that prints a token alone, for clients that take one.
func Token(program, config, role string) string {
	return Line([]string{program, "token", "mint", "--config", config, "--role", role})
}

// Claude is the line by which Claude Code gets a server called name, with flags of its own.
func Claude(name string, command []string, flags ...string) string {
	return strings.Join(slices.Concat([]string{"claude mcp add"}, flags, []string{name, "--", Line(command)}), " ")
}

// Stdio is a server of a client's `.mcp.json`, as JSON: the command that it starts.
func Stdio(command []string) string {
	args := make([]string, len(command)-1)
	for i, arg := range command[1:] {
		args[i] = quote(arg)
	}
	return `{"command":` + quote(command[0]) + `,"args":[` + strings.Join(args, ",") + `]}`
}

// Line is a command as a POSIX shell reads it.
func Line(command []string) string {
	words := make([]string, len(command))
	for i, word := range command {
		words[i] = Shell(word)
	}
	return strings.Join(words, " ")
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
