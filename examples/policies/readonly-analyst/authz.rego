# Analysts look and change nothing. What a role may use is a table in data.json, looked up by role,
# server and tool; what is not in it is hidden, whatever it says of itself (readOnlyHint).
package mcp.authz

allow if {
	calls
	"any" in bounds
}

allow if {
	calls
	"documents" in bounds
	document
}

allow if {
	calls
	"repositories" in bounds
	repository
}

# Why not, in words, for whom no role gives the tool without a bound.
deny contains "this role reads documents only; the path must be below one of them" if {
	"documents" in bounds
	not "any" in bounds
	not document
}

deny contains "this role reads repositories of our own organisations only" if {
	"repositories" in bounds
	not "any" in bounds
	not repository
}

# How the caller's roles bound the tool: nothing where no role has it.
bounds contains bound if {
	some role in input.subject.roles
	bound := data.roles[role][input.server.name][input.tool.name]
}

calls if input.action == "tools/call"

repository if data.owners[input.arguments.owner]

document if {
	some root in data.documents
	below(input.arguments.path, root)
}

# A root ends with a slash, so that /srv/reports-old is not below /srv/reports/. The percent sign is
# refused because some servers decode it, the backslash because some take it for a slash.
below(path, root) if {
	is_string(path)
	startswith(concat("", [path, "/"]), root)
	every segment in split(path, "/") {
		not segment in {".", ".."}
	}
	not regex.match(`[\\%\x00-\x1f]`, path)
}
