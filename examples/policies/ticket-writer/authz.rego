# An agent that works on tickets reads all of them and writes into the projects of its role. What it
# writes is of known types, holds no secrets, is not endless and not said twice.
package mcp.authz

allow if {
	calls
	"read" in uses
}

# One role must allow the whole call: the tool of one is not joined with the projects of another.
allow if {
	calls
	some role in input.subject.roles
	data.roles[role].tools[input.server.name][input.tool.name] == "create"
	data.roles[role].projects[input.arguments.project_key]
	data.roles[role].types[input.arguments.issue_type]
	not more
}

allow if {
	calls
	some role in input.subject.roles
	data.roles[role].tools[input.server.name][input.tool.name] == "change"
	data.roles[role].projects[project]
	not more
}

deny contains "this role does not write into this project" if {
	"create" in uses
	not made_in_a_project_of_ours
}

deny contains "this role does not write into this project" if {
	"change" in uses
	not changed_in_a_project_of_ours
}

deny contains "this role does not make tickets of this type" if {
	"create" in uses
	not of_a_type_of_ours
}

deny contains "leave fields and additional_fields out: only what has an argument of its own is set" if {
	writes
	more
}

# Only what has a number in data.json is counted.
obligations contains {"type": "max_calls", "n": data.most[input.tool.name], "per": "tool"}

# A loop that has run away says the same again.
obligations contains {"type": "max_repeats", "n": 1, "within": "24h"} if writes

obligations contains {"type": "refuse", "what": "secrets", "in": "arguments"} if writes

obligations contains {"type": "max_bytes", "n": data.most_bytes, "of": "arguments"} if writes

# What the caller's roles use the tool for: nothing where no role has it.
uses contains use if {
	some role in input.subject.roles
	use := data.roles[role].tools[input.server.name][input.tool.name]
}

writes if "create" in uses

writes if "change" in uses

calls if input.action == "tools/call"

# The project of a ticket is in its key, if it is a key and not something that begins like one.
project := prefix if {
	is_string(input.arguments.issue_key) # a list of keys is of the form as well
	mcp.identifier(input.arguments.issue_key, `[A-Z][A-Z0-9]*-[0-9]+`)
	prefix := split(input.arguments.issue_key, "-")[0]
}

made_in_a_project_of_ours if {
	some role in input.subject.roles
	data.roles[role].projects[input.arguments.project_key]
}

changed_in_a_project_of_ours if {
	some role in input.subject.roles
	data.roles[role].projects[project]
}

of_a_type_of_ours if {
	some role in input.subject.roles
	data.roles[role].types[input.arguments.issue_type]
}

# JSON inside of a text, which can set any field: who may see the ticket, whom it is assigned to.
more if _ = input.arguments.fields

more if _ = input.arguments.additional_fields
