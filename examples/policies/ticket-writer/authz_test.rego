package mcp.authz_test

import data.mcp.authz

call(role, tool, arguments) := {
	"subject": {"id": "ann", "roles": [role]},
	"action": "tools/call",
	"server": {"name": "jira"},
	"tool": {"name": tool},
	"arguments": arguments,
}

comment(key) := call("triage-agent", "jira_add_comment", {"issue_key": key, "comment": "looked at"})

make(role, project, type) := call(role, "jira_create_issue", {"project_key": project, "issue_type": type, "summary": "s"})

allowed(input_) if {
	authz.allow with input as input_
	count(authz.deny) == 0 with input as input_
}

refused(input_) if not authz.allow with input as input_

test_tickets_of_our_projects_are_changed if {
	every key in ["SUP-1", "OPS-1042"] {
		allowed(comment(key))
		allowed(call("triage-agent", "jira_transition_issue", {"issue_key": key, "transition_id": "31"}))
	}
}

test_other_tickets_are_not if {
	every key in [
		"HR-1", "SUP", "SUP-", "SUP-1 ", " SUP-1", "sup-1", "SUP-1/../HR-1", "SUP-1,HR-1", "SUP-x", "SUPPORT-1", "-1", "",
		null, 7, ["SUP-1"],
	] {
		refused(comment(key))
		authz.deny == {"this role does not write into this project"} with input as comment(key)
	}
	refused(call("triage-agent", "jira_add_comment", {"comment": "c"}))
	authz.deny == {"this role does not write into this project"} with input as call("triage-agent", "jira_transition_issue", {})
}

test_tickets_are_made_in_our_projects_and_of_our_types if {
	allowed(make("triage-agent", "SUP", "Bug"))
	allowed(make("triage-agent", "OPS", "Task"))
	allowed(make("reporter", "SUP", "Bug"))
	every project in ["HR", "OPS", "SUP-1", "sup", "", null, ["SUP"]] {
		refused(make("reporter", project, "Bug"))
		authz.deny == {"this role does not write into this project"} with input as make("reporter", project, "Bug")
	}
	every type in ["Task", "Epic", "bug", "", null, ["Bug"]] {
		refused(make("reporter", "SUP", type))
		authz.deny == {"this role does not make tickets of this type"} with input as make("reporter", "SUP", type)
	}
	refused(call("reporter", "jira_create_issue", {}))
}

test_no_other_fields_are_set if {
	every extra in [{"additional_fields": "{\"security\": {\"id\": \"1\"}}"}, {"fields": "{}"}, {"fields": false}] {
		every input_ in [make("reporter", "SUP", "Bug"), comment("SUP-1")] {
			refused(object.union(input_, {"arguments": extra}))
			authz.deny == {"leave fields and additional_fields out: only what has an argument of its own is set"} with input as object.union(input_, {"arguments": extra})
		}
	}
	count(authz.deny) == 0 with input as call("triage-agent", "jira_search", {"jql": "project = SUP", "fields": "summary"})
}

both(project, type) := object.union(make("reporter", project, type), {"subject": {"roles": ["reporter", "watcher"]}})

# A reporter may make tickets and a watcher has the project HR: together they make none there.
test_one_role_allows_the_whole_call if {
	tables := object.union(data.roles, {"watcher": {
		"projects": {"HR": true},
		"types": {"Epic": true},
		"tools": {"jira": {"jira_get_issue": "read"}},
	}})
	authz.allow with input as both("SUP", "Bug") with data.roles as tables
	every input_ in [both("HR", "Bug"), both("SUP", "Epic"), both("HR", "Epic")] {
		not authz.allow with input as input_ with data.roles as tables
	}
	change := object.union(comment("HR-1"), {"subject": {"roles": ["triage-agent", "watcher"]}})
	not authz.allow with input as change with data.roles as tables
}

test_what_is_written_is_bounded if {
	writes := {
		{"type": "max_repeats", "n": 1, "within": "24h"},
		{"type": "refuse", "what": "secrets", "in": "arguments"},
		{"type": "max_bytes", "n": 20000, "of": "arguments"},
	}
	authz.obligations == writes | {{"type": "max_calls", "n": 20, "per": "tool"}} with input as comment("SUP-1")
	authz.obligations == writes | {{"type": "max_calls", "n": 5, "per": "tool"}} with input as make("reporter", "SUP", "Bug")
	authz.obligations == set() with input as call("reporter", "jira_search", {"jql": "text ~ refund"})
}

test_others_do_nothing if {
	every roles in [[], ["guest"]] {
		refused(object.union(comment("SUP-1"), {"subject": {"roles": roles}}))
		refused(object.union(call("x", "jira_search", {}), {"subject": {"roles": roles}}))
	}
	refused(object.union(comment("SUP-1"), {"server": {"name": "other"}}))
}

test_only_calls_are_allowed if {
	every action in ["resources/read", "prompts/get", "elicitation/create", "tasks/get"] {
		refused(object.union(comment("SUP-1"), {"action": action}))
		refused(object.union(make("reporter", "SUP", "Bug"), {"action": action}))
		refused(object.union(call("reporter", "jira_search", {}), {"action": action}))
	}
}
