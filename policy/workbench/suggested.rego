package mcp.authz

allow if {
	input.action == "tools/call"
	some permit in permits
	fits(permit)
}

# What asks after the task that a call has begun.
allow if {
	some permit in permits
	input.action in permit.tasks
}

# A permit counts for who has its role, and those that were always there with it.
permits contains permit if {
	some role in input.subject.roles
	some permit in data.permits[role][input.server.name][input.tool.name]
	every other in object.get(permit, "with", []) {
		other in input.subject.roles
	}
}

# Nothing is known of the arguments that were used.
fits(permit) if permit.any_arguments

fits(permit) if {
	not permit.any_arguments
	every name in object.get(permit, "required", []) {
		_ = input.arguments[name]
	}
	every name, value in input.arguments {
		accepts(permit.arguments[name], value)
	}
}

accepts(rule, value) if one(rule, value)

accepts(rule, value) if {
	is_array(value)
	count(value) <= rule.most
	every item in value {
		one(rule.items, item)
	}
}

one(rule, value) if value in rule.values

one(rule, value) if type_name(value) in rule.types

# The type is asked first: in Rego every string is greater than every number.
one(rule, value) if {
	is_number(value)
	value >= rule.min
	value <= rule.max
	integer(rule, value)
}

one(rule, value) if below(value, rule.below)

integer(rule, _) if not rule.whole

integer(rule, value) if {
	rule.whole
	value == floor(value)
}

# Each root ends with a slash, so that /srv/docs-old is not below /srv/docs/. What some servers
# read as a slash or a dot is refused.
below(path, roots) if {
	is_string(path)
	some root in roots
	startswith(concat("", [path, "/"]), root)
	every segment in split(path, "/") {
		not trim(segment, " ;\t") in {".", ".."}
	}
	every odd in {"\\", "%", "\u0000", "\uff0e"} {
		not contains(path, odd)
	}
}
