package mcp.authz_test

import data.mcp.authz
import data.mcp.constraints

call(task, server, tool, arguments) := {
	"subject": {"id": "dana", "roles": ["developer"], "proof": "dpop"},
	"grant": {"id": "gr_1", "task": task, "expires": "2026-07-28T13:00:00Z"},
	"action": "tools/call",
	"server": {"name": server},
	"tool": {"name": tool},
	"arguments": arguments,
	"request": {"method": "tools/call"},
}

measured(input_, files) := object.union(input_, {"subject": {"measured": files}})

allowed(input_) if {
	authz.allow with input as input_
	count(authz.deny) == 0 with input as input_
}

# The rule that allows is asked by itself: the reasons are words, and must not be what protects.
refused(input_) if not authz.allow with input as input_

test_a_developer_reads_while_on_a_ticket if {
	allowed(call("SHOP-1234", "files", "read_file", {"path": "/srv/docs/a.md"}))
	allowed(call("SHOP-1234", "tickets", "get_ticket", {"ticket": "SHOP-1"}))
}

test_without_a_ticket_nothing_is_done if {
	every task in {"", "tidy up", "shop-1234", "SHOP-1234; and more", "for SHOP-1234", "SHOP-"} {
		refused(call(task, "files", "read_file", {"path": "/srv/docs/a.md"}))
		refused(call(task, "tickets", "add_comment", {"ticket": task}))
	}
	refused(object.remove(call("SHOP-1234", "files", "read_file", {}), ["grant"]))
}

test_only_the_ticket_of_the_task_is_changed if {
	allowed(call("SHOP-1234", "tickets", "add_comment", {"ticket": "SHOP-1234"}))
	every arguments in [{"ticket": "SHOP-1235"}, {"ticket": ["SHOP-1234"]}, {"ticket": null}, {}] {
		refused(call("SHOP-1234", "tickets", "add_comment", arguments))
		authz.deny == {"the task of this grant is another ticket"} with input as call("SHOP-1234", "tickets", "add_comment", arguments)
	}
}

test_others_do_nothing if {
	call_ := object.union(call("SHOP-1234", "files", "read_file", {}), {"subject": {"roles": ["guest"]}})
	refused(call_)
	refused(object.union(call("SHOP-1234", "tickets", "add_comment", {"ticket": "SHOP-1234"}), {"subject": {"roles": ["guest"]}}))
	every tool in ["write_file", "delete_ticket", "READ_FILE"] {
		refused(call("SHOP-1234", "files", tool, {"ticket": "SHOP-1234"}))
	}
}

test_only_calls_are_allowed if {
	every action in ["resources/read", "prompts/get", "elicitation/create", "tasks/get"] {
		refused(object.union(call("SHOP-1234", "files", "read_file", {}), {"action": action}))
		refused(object.union(call("SHOP-1234", "tickets", "add_comment", {"ticket": "SHOP-1234"}), {"action": action}))
	}
}

test_an_agent_whose_files_changed_is_refused_until_somebody_approves if {
	read := call("SHOP-1234", "files", "read_file", {"path": "/srv/docs/a.md"})
	allowed(measured(read, {"digest": "sha256:1", "changed": false, "approved": false}))
	allowed(measured(read, {"digest": "sha256:2", "changed": true, "approved": true}))
	changed := measured(read, {"digest": "sha256:2", "changed": true, "approved": false})
	authz.deny == {"the agent's own files have changed since its grant; a person must look: sallyport measure diff"} with input as changed
	authz.deny == set() with input as object.union(changed, {"request": {"method": "ping"}})
}

test_changes_need_a_key_and_are_counted if {
	authz.obligations == {
		{"type": "require_proof"},
		{"type": "max_calls", "n": 1, "per": "tool"},
	} with input as call("SHOP-1234", "tickets", "close_ticket", {"ticket": "SHOP-1234"})
	authz.obligations == set() with input as call("SHOP-1234", "files", "read_file", {})
}

test_only_docs_keeps_to_the_documents if {
	constraints.only_docs with input as call("T-1", "files", "read_file", {"path": "/srv/docs/a.md"})
	every path in {"/srv/docs/../x", "/etc/passwd", "/srv/docs-old/a", 7} {
		not constraints.only_docs with input as call("T-1", "files", "read_file", {"path": path})
	}
}
