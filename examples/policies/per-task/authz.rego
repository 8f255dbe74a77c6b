# What an agent may do follows from its task. It is started with a grant for one ticket
# (sallyport run --role developer --task SHOP-1234 -- …), reads what a developer may read, and
# changes that ticket and no other.
package mcp.authz

# Reading: whatever data.json lists, while working on a ticket.
allow if {
	"developer" in input.subject.roles
	input.action == "tools/call"
	input.tool.name in data.reads[input.server.name]
	on_a_ticket
}

# Changing: only the ticket that the grant is for.
allow if {
	"developer" in input.subject.roles
	input.action == "tools/call"
	input.tool.name in data.changes[input.server.name]
	on_a_ticket
	of_this_task
}

# A grant that was made for nothing in particular is good for nothing here.
on_a_ticket if regex.match(`^[A-Z][A-Z0-9]*-[0-9]+$`, input.grant.task)

of_this_task if input.arguments.ticket == input.grant.task

deny contains "the task of this grant is another ticket" if {
	input.tool.name in data.changes[input.server.name]
	not of_this_task
}

# An agent whose instructions or memory changed after its grant was made may be following a
# stranger's. `input.request` is unknown while tools are listed, so they stay in the list and
# whoever calls one reads the reason.
deny contains "the agent's own files have changed since its grant; a person must look: sallyport measure diff" if {
	input.request.method == "tools/call"
	input.subject.measured.changed
	not input.subject.measured.approved
}

# A change needs a token that is bound to a key: one copied from a log or a process list is then
# of no use.
obligations contains {"type": "require_proof"} if input.tool.name in data.changes[input.server.name]

# A loop that has run away stops by itself.
obligations contains {"type": "max_calls", "n": data.most[input.tool.name], "per": "tool"}
