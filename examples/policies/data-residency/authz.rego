# Data stays where it must. A role belongs to one zone (eu, us); the argument that says where (a region, a
# URL) must be of that zone, and must be there, for what a server takes when it is left out is the server's
# business. A task that has touched one zone does not touch another.
package mcp.authz

allow if {
	calls
	placed
}

deny contains "say the region, one of your own zone" if {
	"region" in bounds
	not placed
}

deny contains "the URL does not lead to a host of your own zone" if {
	"url" in bounds
	not placed
}

deny contains "this task has touched data of another zone; begin a new one" if {
	some zone in zones
	some label in input.flow.labels
	data.zone_of[label] != zone
}

# The labels of a task never wash off, and its sub-agents have them too.
obligations contains {"type": "label", "add": [concat(":", ["zone", zone])]} if some zone in zones

calls if input.action == "tools/call"

placed if some _ in zones

# Where the call goes: the zone of a role that has the tool, if what the call says is in it.
zones contains zone if {
	some role in input.subject.roles
	tool(role) == "region"
	zone := data.roles[role].zone
	data.zones[zone].regions[input.arguments.region]
}

# One plain https URL: no user in it, no port, no address. A list of them is none.
zones contains zone if {
	some role in input.subject.roles
	tool(role) == "url"
	zone := data.roles[role].zone
	is_string(input.arguments.url)
	mcp.url_allowed(input.arguments.url, {"hosts": data.zones[zone].hosts})
}

# A server that is in a zone as a whole.
zones contains zone if {
	some role in input.subject.roles
	tool(role) == "server"
	zone := data.roles[role].zone
	data.zones[zone].servers[input.server.name]
}

# How the caller's roles bound the tool: nothing where no role has it.
bounds contains tool(role) if some role in input.subject.roles

tool(role) := data.roles[role].tools[input.server.name][input.tool.name]
