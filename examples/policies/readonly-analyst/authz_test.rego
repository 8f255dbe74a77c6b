package mcp.authz_test

import data.mcp.authz

call(role, server, tool, arguments) := {
	"subject": {"id": "ann", "roles": [role]},
	"action": "tools/call",
	"server": {"name": server},
	"tool": {"name": tool, "annotations": {"readOnlyHint": true}},
	"arguments": arguments,
}

read(path) := call("analyst", "filesystem", "read_text_file", {"path": path})

fetch(owner) := call("analyst", "github", "get_file_contents", {"owner": owner, "repo": "shop", "path": "README.md"})

allowed(input_) if {
	authz.allow with input as input_
	count(authz.deny) == 0 with input as input_
}

# The rule that allows is asked by itself: the reasons are words, and must not be what protects.
refused(input_) if not authz.allow with input as input_

test_documents_are_read if {
	every path in ["/srv/reports/2026/q3.md", "/srv/handbook/onboarding.md", "/srv/reports", "/srv/reports/a b.txt"] {
		allowed(read(path))
	}
}

test_nothing_else_is_read if {
	every path in [
		"/etc/passwd", "/srv/reports-old/q3.md", "/srv/reports/../secrets/key.pem", "/srv/reports/..", "/srv/reports/./a",
		"/srv/reports/..\\x", "/srv/reports/%2e%2e/x", "/srv/reports/a\u0000.md", "/srv/reports/a\nb", "srv/reports/a",
		"/home/dana/srv/reports/a", "", "/", null, 7, ["/srv/reports/a"],
	] {
		refused(read(path))
	}
	refused(call("analyst", "filesystem", "read_text_file", {}))
}

test_a_refused_path_has_a_reason if {
	every input_ in [read("/etc/passwd"), call("analyst", "filesystem", "list_directory", {})] {
		authz.deny == {"this role reads documents only; the path must be below one of them"} with input as input_
	}
}

test_our_repositories_are_read if {
	allowed(fetch("example-corp"))
	allowed(fetch("example-labs"))
}

test_other_repositories_are_not if {
	every owner in ["evil-corp", "Example-Corp", "example-corp/", "", null, 7, ["example-corp"]] {
		refused(fetch(owner))
		authz.deny == {"this role reads repositories of our own organisations only"} with input as fetch(owner)
	}
	refused(call("analyst", "github", "get_file_contents", {"repo": "shop"}))
}

test_writing_tools_are_refused_whatever_they_say_of_themselves if {
	every tool in ["write_file", "edit_file", "move_file", "create_directory", "READ_TEXT_FILE"] {
		refused(call("analyst", "filesystem", tool, {"path": "/srv/reports/a"}))
	}
	every tool in ["create_entities", "add_observations", "delete_entities"] {
		refused(call("analyst", "memory", tool, {}))
	}
	refused(call("analyst", "github", "push_files", {"owner": "example-corp"}))
	refused(call("analyst", "shell", "read_text_file", {"path": "/srv/reports/a"}))
}

test_roles_differ if {
	allowed(call("support-analyst", "jira", "jira_search", {"jql": "project = SUP"}))
	refused(call("analyst", "jira", "jira_search", {"jql": "project = SUP"}))
	refused(call("support-analyst", "memory", "read_graph", {}))
	allowed(object.union(read("/srv/reports/a"), {"subject": {"roles": ["guest", "support-analyst"]}}))
}

# A role without a bound is not bounded by another role of the caller's.
test_the_widest_role_counts if {
	two := object.union(read("/var/log/syslog"), {"subject": {"roles": ["analyst", "auditor"]}})
	tables := object.union(data.roles, {"auditor": {"filesystem": {"read_text_file": "any"}, "github": {"get_file_contents": "any"}}})
	authz.allow with input as two with data.roles as tables
	count(authz.deny) == 0 with input as two with data.roles as tables
	elsewhere := object.union(fetch("evil-corp"), {"subject": {"roles": ["analyst", "auditor"]}})
	count(authz.deny) == 0 with input as elsewhere with data.roles as tables
}

test_others_do_nothing if {
	every roles in [[], ["guest"], ["ANALYST"]] {
		refused(object.union(read("/srv/reports/a"), {"subject": {"roles": roles}}))
		refused(object.union(call("x", "memory", "read_graph", {}), {"subject": {"roles": roles}}))
	}
}

test_only_calls_are_allowed if {
	every action in ["resources/read", "prompts/get", "sampling/createMessage", "elicitation/create", "tasks/get"] {
		refused(object.union(read("/srv/reports/a"), {"action": action}))
		refused(object.union(fetch("example-corp"), {"action": action}))
		refused(object.union(call("analyst", "memory", "read_graph", {}), {"action": action}))
	}
}
