package mcp.authz_test

import data.mcp.authz

flow(labels) := {"flow": {"labels": labels}}

tool(server, name, labels) := {
	"subject": {"id": "ann", "roles": ["agent"]},
	"action": "tools/call",
	"server": {"name": server, "labels": []},
	"tool": {"name": name, "labels": labels},
}

allowed(input_) if {
	authz.allow with input as input_
	count(authz.deny) == 0 with input as input_
}

post := tool("web", "post", ["sink:external"])

read := tool("files", "read_file", ["source:private", "source:untrusted"])

test_before_anything_is_read_everything_is_open if {
	every call in [post, read, tool("files", "write_file", ["sink:internal"]), tool("misc", "add", [])] {
		allowed(object.union(call, flow([])))
	}
}

test_one_source_closes_the_way_out if {
	every labels in [["source:private"], ["source:untrusted"], ["source:private", "source:untrusted", "team:a"]] {
		not allowed(object.union(post, flow(labels)))
	}
}

test_other_labels_close_nothing if {
	allowed(object.union(post, flow(["team:a", "sink:external", "sink:internal"])))
}

test_reading_and_work_inside_go_on if {
	every call in [read, tool("files", "write_file", ["sink:internal"]), tool("misc", "add", [])] {
		allowed(object.union(call, flow(["source:private", "source:untrusted"])))
	}
}

test_resources_and_prompts_are_ways_out_too if {
	every what in ["resource", "prompt"] {
		not allowed({
			"subject": {"roles": ["agent"]},
			"action": {"resource": "resources/read", "prompt": "prompts/get"}[what],
			"server": {"name": "web", "labels": []},
			what: {"labels": ["sink:external"]},
			"flow": {"labels": ["source:private"]},
		})
	}
}

test_a_server_outside_hears_nothing_at_all if {
	every action in ["notifications/progress", "prompts/list", "initialize", "completion/complete", "elicitation/create"] {
		count(authz.deny) == 1 with input as {
			"subject": {"roles": ["agent"]},
			"action": action,
			"server": {"name": "web", "labels": ["sink:external"]},
			"flow": {"labels": ["source:untrusted"]},
		}
	}
	count(authz.deny) == 0 with input as {
		"subject": {"roles": ["agent"]},
		"action": "tools/list",
		"server": {"name": "web", "labels": ["sink:external"]},
		"flow": {"labels": ["source:untrusted"]},
	}
}

test_servers_ask_nothing_of_the_agent if {
	every action in ["sampling/createMessage", "elicitation/create", "roots/list"] {
		not allowed(object.union(read, {"action": action, "flow": {"labels": []}}))
	}
}

test_others_do_nothing if {
	not allowed(object.union(read, {"subject": {"roles": ["guest"]}, "flow": {"labels": []}}))
}
