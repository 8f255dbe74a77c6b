# An agent that hands work to other agents hands on less than it has. The role is that of the person for
# whom all of them act; each tool says which agents may be handed it, and what any agent of the chain
# may not be handed, none of those after it has.
package mcp.authz

# A person's own client, in whose name nobody else acts, does what the role has. What is neither `use` nor
# `change` is not handed on at all.
allow if {
	calls
	some _ in of_the_role
	alone
}

allow if {
	calls
	"use" in of_the_role
	handed_on
}

allow if {
	calls
	"change" in of_the_role
	handed_on
	on_a_task
}

deny contains "this chain of agents is too long; let an earlier one make the call" if count(input.subject.actors) > data.longest

deny contains "agents change things for a task only; make the grant with --task" if {
	input.request.method == "tools/call"
	"change" in of_the_role
	delegated
	not on_a_task
}

# A token that is handed from one process to the next is of no use to a third.
obligations contains {"type": "require_proof"} if delegated

obligations contains {"type": "max_calls", "n": data.most[input.tool.name], "per": "tool"} if delegated

obligations contains {"type": "record_arguments"} if {
	"change" in of_the_role
	delegated
}

# What the caller's roles use the tool for: nothing where no role has it.
of_the_role contains use if {
	some role in input.subject.roles
	use := data.roles[role][input.server.name][input.tool.name]
}

# Every agent of the chain may be handed the tool.
handed_on if {
	agents := data.handed[input.server.name][input.tool.name]
	every agent in input.subject.actors {
		agents[agent]
	}
}

calls if input.action == "tools/call"

alone if count(input.subject.actors) == 0

delegated if count(input.subject.actors) > 0

on_a_task if input.grant.task != ""
