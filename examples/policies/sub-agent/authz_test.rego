package mcp.authz_test

import data.mcp.authz

# actors are newest first: the agent that makes the call, then who made it.
call(actors, server, tool) := {
	"subject": {"id": "dana", "roles": ["developer"], "actors": actors},
	"grant": {"id": "gr_1", "task": "SHOP-1234"},
	"action": "tools/call",
	"server": {"name": server},
	"tool": {"name": tool},
	"arguments": {},
	"request": {"method": "tools/call"},
}

allowed(input_) if {
	authz.allow with input as input_
	count(authz.deny) == 0 with input as input_
}

refused(input_) if not authz.allow with input as input_

without_task(input_) := object.union(input_, {"grant": {"task": ""}})

test_a_person_does_what_the_role_has if {
	every tool in ["merge_pull_request", "push_files", "get_file_contents", "create_branch"] {
		allowed(call([], "github", tool))
		allowed(without_task(call([], "github", tool)))
	}
	allowed(call([], "filesystem", "write_file"))
	authz.obligations == set() with input as call([], "github", "push_files")
}

test_an_agent_does_what_it_was_given if {
	allowed(call(["coder"], "filesystem", "write_file"))
	allowed(call(["coder"], "github", "push_files"))
	allowed(call(["reviewer"], "github", "pull_request_review_write"))
	refused(call(["reviewer"], "github", "push_files"))
	refused(call(["coder"], "github", "pull_request_review_write"))
	refused(call(["orchestrator"], "filesystem", "write_file"))
}

test_what_one_of_the_chain_lacks_none_has if {
	allowed(call(["coder", "orchestrator"], "github", "push_files"))
	allowed(call(["coder", "orchestrator"], "filesystem", "edit_file"))
	every actors in [["coder", "orchestrator"], ["orchestrator", "coder"]] {
		refused(call(actors, "filesystem", "write_file"))
	}
	every actors in [["coder", "reviewer"], ["reviewer", "coder"]] {
		refused(call(actors, "github", "push_files"))
		refused(call(actors, "github", "pull_request_review_write"))
		allowed(call(actors, "filesystem", "read_text_file"))
	}
}

test_strangers_in_the_chain_end_it if {
	every actors in [["stranger"], ["stranger", "coder"], ["coder", "stranger"], [""], ["CODER"]] {
		refused(call(actors, "filesystem", "read_text_file"))
		refused(call(actors, "github", "push_files"))
	}
}

test_merging_is_not_handed_on if {
	every actors in [["orchestrator"], ["coder"], ["coder", "orchestrator"]] {
		refused(call(actors, "github", "merge_pull_request"))
	}
	refused(object.union(call(["coder"], "github", "merge_pull_request"), {"grant": {"task": ""}}))
}

# An agent that is given the tool by mistake does not have what a person alone may do.
test_merging_is_not_handed_on_by_a_table if {
	tables := object.union(data.handed, {"github": {"merge_pull_request": {"coder": true}}})
	not authz.allow with input as call(["coder"], "github", "merge_pull_request") with data.handed as tables
}

# What is handed to nobody a person has all the same.
test_a_person_needs_no_table if {
	authz.allow with input as call([], "github", "get_file_contents") with data.handed as {}
	not authz.allow with input as call(["coder"], "github", "get_file_contents") with data.handed as {}
}

test_chains_are_short if {
	long := call(["coder", "orchestrator", "orchestrator"], "filesystem", "read_text_file")
	authz.deny == {"this chain of agents is too long; let an earlier one make the call"} with input as long
	authz.deny == set() with input as call(["coder", "orchestrator"], "filesystem", "read_text_file")
}

test_agents_change_things_for_a_task if {
	every input_ in [without_task(call(["coder"], "github", "push_files")), object.remove(call(["coder"], "github", "push_files"), ["grant"])] {
		refused(input_)
		authz.deny == {"agents change things for a task only; make the grant with --task"} with input as input_
	}
	allowed(without_task(call(["coder"], "github", "get_file_contents")))
	authz.deny == set() with input as object.union(without_task(call(["coder"], "github", "push_files")), {"request": {"method": "ping"}})
	authz.deny == set() with input as without_task(call([], "github", "push_files"))
}

test_agents_are_bound_counted_and_recorded if {
	authz.obligations == {
		{"type": "require_proof"},
		{"type": "max_calls", "n": 20, "per": "tool"},
		{"type": "record_arguments"},
	} with input as call(["coder"], "github", "push_files")
	authz.obligations == {{"type": "require_proof"}} with input as call(["coder"], "github", "get_file_contents")
}

test_others_do_nothing if {
	every actors in [[], ["coder"]] {
		every tool in ["get_file_contents", "push_files", "merge_pull_request"] {
			refused(object.union(call(actors, "github", tool), {"subject": {"roles": ["guest"]}}))
		}
	}
	refused(object.remove(call([], "github", "get_file_contents"), ["subject"]))
	refused(call([], "other", "push_files"))
}

test_only_calls_are_allowed if {
	every action in ["resources/read", "prompts/get", "sampling/createMessage", "elicitation/create"] {
		every tool in ["get_file_contents", "push_files", "merge_pull_request"] {
			refused(object.union(call([], "github", tool), {"action": action}))
		}
	}
}
