# An agent on call looks at what runs. In an incident it may do more: for a grant that names the incident
# and does not last, after somebody else has agreed, and with everything written down.
package mcp.authz

allow if {
	calls
	"look" in uses
}

allow if {
	calls
	"emergency" in uses
	incident
	short
}

deny contains "an emergency has a number: make a grant with --task INC- and the number" if {
	"emergency" in uses
	not incident
}

deny contains reason if {
	"emergency" in uses
	not short
	reason := sprintf("a grant for an emergency ends within %d minutes; make one with --ttl %dm", [data.minutes, data.minutes])
}

# Somebody else agrees to exactly this call.
obligations contains {"type": "require_approval", "by": data.approver} if "emergency" in uses

# The token is bound to a key, so one that is copied out of a log opens nothing.
obligations contains {"type": "require_proof"} if "emergency" in uses

obligations contains {"type": "max_calls", "n": data.most, "per": "grant"} if "emergency" in uses

# From the first such call on, the task is marked, and all that it does is written down in full.
obligations contains {"type": "label", "add": ["break-glass"]} if "emergency" in uses

obligations contains {"type": "record_arguments"} if "emergency" in uses

obligations contains {"type": "record_arguments"} if "break-glass" in input.flow.labels

# What the caller's roles use the tool for: nothing where no role has it.
uses contains use if {
	some role in input.subject.roles
	use := data.roles[role][input.server.name][input.tool.name]
}

calls if input.action == "tools/call"

incident if regex.match(`^INC-[0-9]+$`, input.grant.task)

# When the grant was made is not known here; what is left of it is. One that was made for a day is of no
# use before its last hour.
short if {
	left := time.parse_rfc3339_ns(input.grant.expires) - time.parse_rfc3339_ns(input.request.time)
	left <= (data.minutes * 60) * 1000000000
}
