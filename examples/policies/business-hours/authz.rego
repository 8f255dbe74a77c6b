# An agent that answers people does so when its people are there. Each role has a calendar: the clock of
# its office, its days and hours, and the days on which it is closed. Reading has no hours.
package mcp.authz

allow if {
	calls
	"read" in uses
}

# One role must allow the whole call: the tool of one is not joined with the hours of another.
allow if {
	calls
	some role in input.subject.roles
	data.roles[role].tools[input.server.name][input.tool.name] == "say"
	open(data.calendars[data.roles[role].calendar])
}

allow if {
	calls
	some role in input.subject.roles
	data.roles[role].tools[input.server.name][input.tool.name] == "say"
	data.roles[role].calendar == "always"
}

deny contains "it is outside the business hours of this role; leave a draft, and a person sends it" if {
	"say" in uses
	not "always" in calendars
	not working
}

# What the caller's roles use the tool for: nothing where no role has it.
uses contains use if {
	some role in input.subject.roles
	use := data.roles[role].tools[input.server.name][input.tool.name]
}

calls if input.action == "tools/call"

calendars contains data.roles[role].calendar if some role in input.subject.roles

working if {
	some calendar in calendars
	open(data.calendars[calendar])
}

# The clock is the office's, so summer time and winter time are as its people have them. Times of day
# compare as texts.
open(calendar) if {
	now := time.parse_rfc3339_ns(input.request.time)
	hours := calendar.days[time.weekday([now, calendar.zone])]
	clock := time.format([now, calendar.zone, "15:04"])
	clock >= hours.from
	clock < hours.to
	not calendar.closed[time.format([now, calendar.zone, "2006-01-02"])]
}
