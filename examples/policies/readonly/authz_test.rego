package mcp.authz_test

import data.mcp.authz

call(roles, server, tool) := {
	"subject": {"id": "someone", "roles": roles},
	"action": "tools/call",
	"server": {"name": server},
	"tool": {"name": tool, "annotations": {"readOnlyHint": true}},
	"arguments": {"path": "/srv/docs/a.txt"},
}

allowed(input_) if {
	authz.allow with input as input_
	count(authz.deny) == 0 with input as input_
}

test_reader_reads if {
	allowed(call(["reader"], "files", "read_file"))
	allowed(call(["reader"], "tickets", "list_tickets"))
}

test_reader_writes_nothing if {
	every tool in {"write_file", "move_file", "create_directory", "delete_everything"} {
		not allowed(call(["reader"], "files", tool))
	}
	authz.deny == {"a reader may only read"} with input as call(["reader"], "files", "write_file")
}

test_editor_reads_and_writes if {
	allowed(call(["editor"], "files", "read_file"))
	allowed(call(["editor"], "files", "write_file"))
	allowed(call(["reader", "editor"], "tickets", "create_ticket"))
}

test_unlisted_tools_are_refused_whatever_they_say_of_themselves if {
	not allowed(call(["editor"], "files", "export"))
	not allowed(call(["editor"], "shell", "read_file"))
	not allowed(call(["editor"], "files", "READ_FILE"))
}

test_others_do_nothing if {
	not allowed(call([], "files", "read_file"))
	not allowed(call(["guest"], "files", "read_file"))
}

test_resources_and_prompts_are_for_both if {
	every action in {"resources/read", "resources/subscribe", "prompts/get", "completion/complete"} {
		allowed({"subject": {"roles": ["reader"]}, "action": action, "server": {"name": "files"}})
		not allowed({"subject": {"roles": ["reader"]}, "action": action, "server": {"name": "shell"}})
		not allowed({"subject": {"roles": ["guest"]}, "action": action, "server": {"name": "files"}})
	}
}

test_servers_may_ask_nothing_of_clients if {
	every action in {"sampling/createMessage", "elicitation/create", "roots/list"} {
		not allowed({"subject": {"roles": ["editor"]}, "action": action, "server": {"name": "files"}})
	}
}
