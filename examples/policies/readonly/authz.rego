# Readers read, editors do what is listed for them. What a tool says of itself
# (readOnlyHint and the other annotations) is the server's word and counts for nothing here:
# a tool that is not listed in data.json is hidden.
package mcp.authz

# The tools that read.
allow if {
	some role in {"reader", "editor"}
	role in input.subject.roles
	input.action == "tools/call"
	input.tool.name in data.reads[input.server.name]
}

# The tools that change something.
allow if {
	"editor" in input.subject.roles
	input.action == "tools/call"
	input.tool.name in data.writes[input.server.name]
}

# Resources and prompts only ever give; so both roles may have those of the listed servers.
allow if {
	some role in {"reader", "editor"}
	role in input.subject.roles
	input.action in {"resources/read", "resources/subscribe", "prompts/get", "completion/complete"}
	data.reads[input.server.name]
}

# The reason in words, for the record: the reader's client is only told that there is no such
# tool, because no argument could make this call allowed.
deny contains "a reader may only read" if {
	not "editor" in input.subject.roles
	input.tool.name in data.writes[input.server.name]
}
