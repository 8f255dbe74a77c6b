package mcp.authz_test

import data.mcp.authz

# A Wednesday in January, eleven in the morning in Berlin.
at_work := "2026-01-14T10:00:00Z"

at(when, tool, arguments) := {
	"subject": {"id": "ann", "roles": ["release-engineer"]},
	"action": "tools/call",
	"server": {"name": "github"},
	"tool": {"name": tool},
	"arguments": object.union({"owner": "example-corp", "repo": "shop"}, arguments),
	"request": {"time": when, "method": "tools/call"},
}

deploy := {"method": "run_workflow", "workflow_id": "deploy.yml", "ref": "v1.2.3"}

run(arguments) := at(at_work, "actions_run_trigger", arguments)

allowed(input_) if {
	authz.allow with input as input_
	count(authz.deny) == 0 with input as input_
}

refused(input_) if not authz.allow with input as input_

closed := "releases are made on working days from 09:00 to 16:00, time of Europe/Berlin, and not in a freeze"

elsewhere := "this repository is not among those that are released from here"

unknown := "only known workflows are run, on main or on a version (v1.2.3)"

test_releases_are_made_in_the_window if {
	every when in [
		"2026-01-12T08:00:00Z", "2026-01-13T12:00:00Z", at_work, "2026-01-15T14:59:59Z",
		"2026-07-16T07:00:00Z", "2026-07-16T13:59:59Z", "2026-03-26T08:00:00Z", "2026-03-30T07:00:00Z", "2026-12-22T10:00:00Z",
	] {
		allowed(at(when, "actions_run_trigger", deploy))
		allowed(at(when, "merge_pull_request", {"pullNumber": 7}))
	}
}

# Winter and summer time, the days of the week, the freeze.
test_and_at_no_other_time if {
	every when in [
		"2026-01-14T07:59:59Z", "2026-01-14T15:00:00Z", "2026-07-16T06:59:59Z", "2026-07-16T14:00:00Z",
		"2026-01-16T10:00:00Z", "2026-01-17T10:00:00Z", "2026-01-18T10:00:00Z", "2026-01-13T23:30:00Z",
		"2026-12-23T10:00:00Z", "2026-12-24T10:00:00Z", "2026-12-30T10:00:00Z", "2026-12-31T10:00:00Z",
	] {
		every input_ in [at(when, "actions_run_trigger", deploy), at(when, "merge_pull_request", {"pullNumber": 7})] {
			refused(input_)
			authz.deny == {closed} with input as input_
		}
	}
}

test_looking_and_stopping_have_no_hours if {
	every when in [at_work, "2026-01-18T03:00:00Z", "2026-12-24T10:00:00Z"] {
		every tool in ["actions_get", "actions_list", "get_job_logs", "list_commits", "pull_request_read"] {
			allowed(at(when, tool, {}))
		}
		allowed(at(when, "actions_run_trigger", {"method": "cancel_workflow_run", "run_id": 17}))
	}
}

test_known_workflows_run_on_known_versions if {
	every arguments in [{"ref": "main"}, {"ref": "v10.0.12"}, {"workflow_id": "release.yml"}, {"repo": "payments"}] {
		allowed(run(object.union(deploy, arguments)))
	}
	every arguments in [
		{"workflow_id": "nightly.yml"}, {"workflow_id": "release.yml", "repo": "payments"}, {"workflow_id": 4711}, {"workflow_id": ["deploy.yml"]},
		{"ref": "feature/x"}, {"ref": "main2"}, {"ref": "amain"}, {"ref": "v1.2"}, {"ref": "xv1.2.3"}, {"ref": "v1.2.3-rc1"},
		{"ref": "v1x2.3"}, {"ref": "v1.2x3"}, {"ref": ""}, {"method": "rerun_workflow_run"}, {"method": "delete_workflow_run_logs"},
	] {
		refused(run(object.union(deploy, arguments)))
		authz.deny == {unknown} with input as run(object.union(deploy, arguments))
	}
	refused(run({"method": "run_workflow"}))
	refused(run({}))
}

test_other_repositories_are_left_alone if {
	every arguments in [{"repo": "salaries"}, {"owner": "evil-corp"}, {"owner": "Example-Corp"}, {"repo": ["shop"]}] {
		every input_ in [
			at(at_work, "merge_pull_request", arguments), run(object.union(deploy, arguments)),
			at(at_work, "actions_list", arguments), run(object.union({"method": "cancel_workflow_run"}, arguments)),
		] {
			refused(input_)
			elsewhere in authz.deny with input as input_
		}
	}
	authz.deny == {elsewhere} with input as at(at_work, "actions_list", {"repo": "salaries"})
}

test_changes_need_a_person if {
	asked := {
		{"type": "require_approval", "by": "release-manager"},
		{"type": "record_arguments"},
		{"type": "max_calls", "n": 3, "per": "tool"},
	}
	authz.obligations == asked with input as run(deploy)
	authz.obligations == asked with input as at(at_work, "merge_pull_request", {"pullNumber": 7})
	authz.obligations == set() with input as run({"method": "cancel_workflow_run", "run_id": 17})
	authz.obligations == set() with input as at(at_work, "actions_list", {})
}

test_others_do_nothing if {
	every roles in [[], ["guest"], ["release-manager"]] {
		every input_ in [run(deploy), at(at_work, "actions_list", {}), at(at_work, "merge_pull_request", {})] {
			refused(object.union(input_, {"subject": {"roles": roles}}))
			authz.deny == set() with input as object.union(input_, {"subject": {"roles": roles}, "arguments": {"repo": "salaries"}})
		}
	}
	refused(object.union(run(deploy), {"subject": {"roles": ["developer"]}}))
	refused(object.union(run(deploy), {"server": {"name": "other"}}))
}

test_only_calls_are_allowed if {
	every action in ["resources/read", "prompts/get", "elicitation/create", "tasks/get"] {
		every input_ in [
			run(deploy), at(at_work, "actions_list", {}), at(at_work, "merge_pull_request", {"pullNumber": 7}),
			run({"method": "cancel_workflow_run"}),
		] {
			refused(object.union(input_, {"action": action}))
		}
	}
}
