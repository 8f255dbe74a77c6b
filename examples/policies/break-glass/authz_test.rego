package mcp.authz_test

import data.mcp.authz

now := "2026-01-14T10:00:00Z"

call(task, expires, server, tool) := {
	"subject": {"id": "ann", "roles": ["on-call"], "proof": "dpop"},
	"grant": {"id": "gr_1", "task": task, "expires": expires},
	"action": "tools/call",
	"server": {"name": server},
	"tool": {"name": tool},
	"arguments": {"name": "shop-7d9f", "namespace": "shop"},
	"flow": {"labels": []},
	"request": {"time": now, "method": "tools/call"},
}

soon := "2026-01-14T10:59:00Z"

restart := call("INC-2044", soon, "kubernetes", "pods_delete")

allowed(input_) if {
	authz.allow with input as input_
	count(authz.deny) == 0 with input as input_
}

refused(input_) if not authz.allow with input as input_

numbered := "an emergency has a number: make a grant with --task INC- and the number"

lasting := "a grant for an emergency ends within 60 minutes; make one with --ttl 60m"

test_in_an_incident_more_is_possible if {
	every tool in ["pods_delete", "pods_exec", "resources_scale"] {
		allowed(call("INC-2044", soon, "kubernetes", tool))
	}
	allowed(call("INC-1", "2026-01-14T11:00:00Z", "postgres", "execute_sql"))
}

test_an_incident_has_a_number if {
	every task in ["", "SHOP-1234", "INC-", "inc-2044", "INC-2044 and more", "XINC-2044", "INC-20x4"] {
		refused(call(task, soon, "kubernetes", "pods_delete"))
		authz.deny == {numbered} with input as call(task, soon, "kubernetes", "pods_delete")
	}
	refused(object.remove(restart, ["grant"]))
	authz.deny == {numbered, lasting} with input as object.remove(restart, ["grant"])
}

test_a_grant_for_an_incident_is_short if {
	every expires in ["2026-01-14T11:00:00.000000001Z", "2026-01-14T11:00:01Z", "2026-01-14T18:00:00Z", "2027-01-14T10:00:00Z"] {
		refused(call("INC-2044", expires, "postgres", "execute_sql"))
		authz.deny == {lasting} with input as call("INC-2044", expires, "postgres", "execute_sql")
	}
}

test_looking_needs_neither if {
	every tool in ["events_list", "pods_list_in_namespace", "pods_log"] {
		allowed(call("", "2026-01-15T10:00:00Z", "kubernetes", tool))
	}
	allowed(object.remove(call("", "", "postgres", "get_top_queries"), ["grant"]))
}

test_somebody_agrees_and_everything_is_written_down if {
	authz.obligations == {
		{"type": "require_approval", "by": "incident-commander"},
		{"type": "require_proof"},
		{"type": "max_calls", "n": 20, "per": "grant"},
		{"type": "label", "add": ["break-glass"]},
		{"type": "record_arguments"},
	} with input as restart
	look := call("INC-2044", soon, "kubernetes", "pods_log")
	authz.obligations == set() with input as look
	authz.obligations == set() with input as object.union(look, {"flow": {"labels": ["source:private"]}})
	authz.obligations == {{"type": "record_arguments"}} with input as object.union(look, {"flow": {"labels": ["source:private", "break-glass"]}})
}

test_others_do_nothing if {
	every roles in [[], ["guest"], ["incident-commander"]] {
		refused(object.union(restart, {"subject": {"roles": roles}}))
		refused(object.union(call("", soon, "kubernetes", "pods_log"), {"subject": {"roles": roles}}))
	}
	refused(object.union(restart, {"subject": {"roles": ["developer"]}}))
	refused(object.union(restart, {"server": {"name": "other"}}))
}

test_only_calls_are_allowed if {
	every action in ["resources/read", "prompts/get", "elicitation/create", "tasks/get"] {
		refused(object.union(restart, {"action": action}))
		refused(object.union(call("", soon, "kubernetes", "pods_log"), {"action": action}))
	}
}
