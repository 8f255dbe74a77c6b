# An agent that hands work to other agents hands on less than it has. The role is that of the person for
# whom all of them act; each agent in the chain has a table of its own, and what any of them lacks, none
# of those after it has.
package mcp.authz

allow if {
	input.action == "tools/call"
	"use" in of_the_role
	handed_on
}

allow if {
	input.action == "tools/call"
	"change" in of_the_role
	handed_on
	on_a_task
}

# Not handed on at all: only the person's own client, in whose name nobody else acts.
allow if {
	input.action == "tools/call"
	"own" in of_the_role
	count(input.subject.actors) == 0
}

deny contains "this chain of agents is too long; let an earlier one make the call" if count(input.subject.actors) > data.longest

deny contains "agents change things for a task only; make the grant with --task" if {
	input.request.method == "tools/call"
	"change" in of_the_role
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

# Every agent of the chain has the tool; of no agents this holds, and then the role alone counts.
handed_on if {
	every agent in input.subject.actors {
		data.agents[agent][input.server.name][input.tool.name]
	}
}

delegated if count(input.subject.actors) > 0

# A person needs none.
on_a_task if count(input.subject.actors) == 0

on_a_task if input.grant.task != ""
