# An agent that makes releases: it looks at any time, stops at any time, and starts and merges in the
# hours when somebody is there to help, after a person has agreed to exactly that.
package mcp.authz

allow if {
	calls
	"look" in uses
	repository
}

allow if {
	calls
	"run" in uses
	repository
	stops
}

allow if {
	calls
	"run" in uses
	starts
	open
}

allow if {
	calls
	"merge" in uses
	repository
	open
}

deny contains "this repository is not among those that are released from here" if {
	used
	not repository
}

deny contains "only known workflows are run, on main or on a version (v1.2.3)" if {
	"run" in uses
	not stops
	not starts
}

deny contains reason if {
	changes
	not open
	reason := sprintf("releases are made on working days from %s to %s, time of %s, and not in a freeze", [data.window.from, data.window.to, data.window.zone])
}

obligations contains {"type": "require_approval", "by": data.approver} if changes

obligations contains {"type": "record_arguments"} if changes

obligations contains {"type": "max_calls", "n": data.most, "per": "tool"} if changes

# What the caller's roles use the tool for: nothing where no role has it.
uses contains use if {
	some role in input.subject.roles
	use := data.roles[role][input.server.name][input.tool.name]
}

used if count(uses) > 0

calls if input.action == "tools/call"

changes if "merge" in uses

changes if {
	"run" in uses
	not stops
}

repository if {
	input.arguments.owner == data.owner
	data.repositories[input.arguments.repo]
}

# To stop what runs is never too early.
stops if input.arguments.method == "cancel_workflow_run"

starts if {
	input.arguments.method == "run_workflow"
	input.arguments.owner == data.owner
	data.repositories[input.arguments.repo].workflows[input.arguments.workflow_id]
	regex.match(`^(main|v[0-9]+\.[0-9]+\.[0-9]+)$`, input.arguments.ref)
}

# The clock is that of the place where the people are; times of day compare as texts.
open if {
	now := time.parse_rfc3339_ns(input.request.time)
	data.window.days[time.weekday([now, data.window.zone])]
	clock := time.format([now, data.window.zone, "15:04"])
	clock >= data.window.from
	clock < data.window.to
	not data.window.frozen[time.format([now, data.window.zone, "2006-01-02"])]
}
