# Who may call which tool with which arguments. What no rule allows is refused; a tool that no
# arguments could make allowed is hidden from the caller's list too.
# Save a change and the next call follows it; `sallyport policy test` runs the tests.
package mcp.authz

# A reader may call the tools that data.json lists, with paths below the listed folders.
allow if {
	"reader" in input.subject.roles
	input.action == "tools/call"
	input.tool.name in data.reads
	path_is_fine
}

# An operator may call every tool.
allow if {
	"operator" in input.subject.roles
	input.action == "tools/call"
}

path_is_fine if not input.arguments.path

path_is_fine if {
	some folder in data.folders
	startswith(input.arguments.path, folder)
}

# A reason is told to the caller. One is enough to refuse what a rule above allows.
deny contains "credentials are nobody's business" if {
	some secret in {"/.ssh/", "/.aws/", "/.env"}
	contains(concat("", [input.arguments.path, "/"]), secret) # the folder itself as well
}

deny contains "a path has no '..' in it" if ".." in split(input.arguments.path, "/")

# An agent whose instructions or memory (run --measure, connect --measure) changed after its grant
# was made may be following a stranger's. `input.request` is unknown while tools are listed, so
# they stay in the list and whoever uses one reads the reason.
deny contains "the agent's own files have changed since its grant; a person must look: sallyport measure diff" if {
	input.request.method in {"tools/call", "resources/read", "prompts/get"}
	input.subject.measured.changed
	not input.subject.measured.approved
}
