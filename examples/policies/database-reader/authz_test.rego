package mcp.authz_test

import data.mcp.authz

call(role, tool, arguments) := {
	"subject": {"id": "ann", "roles": [role]},
	"action": "tools/call",
	"server": {"name": "postgres"},
	"tool": {"name": tool},
	"arguments": arguments,
}

ask(role, sql) := call(role, "execute_sql", {"sql": sql})

plan(arguments) := call("data-analyst", "explain_query", arguments)

allowed(input_) if {
	authz.allow with input as input_
	count(authz.deny) == 0 with input as input_
}

refused(input_) if not authz.allow with input as input_

orders := "SELECT id, total FROM sales.orders WHERE total > 100 ORDER BY total DESC LIMIT 20"

wants(n) := sprintf("end the statement with LIMIT and a number, at most %d, and leave comments out", [n])

test_rows_are_read if {
	every sql in [
		orders, "select 1 limit 1", "SELECT id FROM sales.orders\nLIMIT 20;", "SELECT id FROM sales.orders LIMIT 20 OFFSET 40",
		"WITH big AS (SELECT * FROM sales.orders LIMIT 500) SELECT count(*) FROM big LIMIT 1",
		"SELECT id FROM a UNION ALL SELECT id FROM b LIMIT 20 ; ",
	] {
		allowed(ask("support", sql))
	}
	allowed(ask("data-analyst", "SELECT id FROM sales.orders LIMIT 1000"))
}

test_a_limit_of_rows_is_at_the_end if {
	every sql in [
		"SELECT id FROM sales.orders", "SELECT id FROM sales.orders LIMIT 21", "SELECT id FROM sales.orders LIMIT ALL",
		"SELECT id FROM (SELECT id FROM sales.orders LIMIT 5) t", "SELECT id FROM sales.orders -- LIMIT 5",
		"SELECT id FROM sales.orders /* LIMIT 5", "SELECT id FROM sales.orders LIMIT 5 + 5000", "SELECT id FROM sales.orders LIMIT 5e3",
		"SELECT id FROM sales.orders LIMIT 5_000", "SELECT id FROM sales.orders LIMIT 1000000000",
		"SELECT id /* a */ FROM sales.orders LIMIT 5", "SELECT 1 - -1 AS a -- b\n LIMIT 5", "SELECT 1 AS xlimit 5", "",
		"SELECT id FROM sales.orders LIMIT 5 OFFSET 10 FETCH",
	] {
		refused(ask("support", sql))
		wants(20) in authz.deny with input as ask("support", sql)
	}
	refused(ask("data-analyst", "SELECT id FROM sales.orders LIMIT 1001"))
}

test_only_one_statement_that_reads if {
	every sql in [
		"DELETE FROM sales.orders WHERE id = 1 RETURNING id LIMIT 1", "SELECT 1; DROP TABLE sales.orders; SELECT 1 LIMIT 1",
		"WITH gone AS (DELETE FROM sales.orders RETURNING *) SELECT * FROM gone LIMIT 1", "SELECT * INTO copy FROM sales.orders LIMIT 1",
		"SELECT pg_read_file('/etc/passwd') LIMIT 1", "SELECT pg_sleep(100) LIMIT 1", "SELECT 'a LIMIT 1",
	] {
		refused(ask("data-analyst", sql))
		count(authz.deny) == 1 with input as ask("data-analyst", sql)
	}
	every sql in [null, 7, ["SELECT 1 LIMIT 1"], {"a": "SELECT 1 LIMIT 1"}] {
		refused(plan({"sql": sql}))
	}
	refused(call("data-analyst", "execute_sql", {}))
	authz.deny == {wants(20)} with input as ask("support", "SELECT 1")
	authz.deny == {"one statement that only reads may be sent: it has 2 statements; write one"} with input as ask("support", "SELECT 1; SELECT 2 LIMIT 1")
}

test_plans_are_made_and_not_run if {
	allowed(plan({"sql": "SELECT id FROM sales.orders"}))
	allowed(plan({"sql": "SELECT id FROM sales.orders", "analyze": false}))
	every arguments in [{"sql": orders, "analyze": true}, {"sql": orders, "analyze": "yes"}] {
		refused(plan(arguments))
		authz.deny == {"plans are made without running the statement; leave analyze out"} with input as plan(arguments)
	}
	refused(plan({"sql": "DELETE FROM sales.orders"}))
	count(authz.deny) == 1 with input as plan({"sql": "DELETE FROM sales.orders"})
	count(authz.deny) == 0 with input as call("data-analyst", "list_schemas", {"analyze": true})
}

test_only_tools_that_take_sql_are_told_of_it if {
	authz.deny == set() with input as call("support", "list_objects", {"schema_name": "sales", "sql": "DROP TABLE x"})
}

test_schemas_are_listed if {
	every name in ["public", "sales"] {
		allowed(call("support", "list_objects", {"schema_name": name}))
		allowed(call("data-analyst", "get_object_details", {"schema_name": name, "object_name": "orders"}))
	}
	every name in ["payroll", "Sales", "pg_catalog", "", null, ["sales"]] {
		refused(call("support", "list_objects", {"schema_name": name}))
		authz.deny == {"this schema is not among those that may be looked at"} with input as call("support", "list_objects", {"schema_name": name})
	}
	refused(call("support", "list_objects", {}))
}

# The rows of an auditor, who has no tool that reads any, are not those of support.
test_one_role_allows_the_whole_call if {
	tables := object.union(data.roles, {"auditor": {"rows": 5000, "tools": {"postgres": {"list_schemas": "schemas"}}}})
	both := object.union(ask("support", "SELECT 1 LIMIT 5000"), {"subject": {"roles": ["support", "auditor"]}})
	not authz.allow with input as both with data.roles as tables
}

test_what_comes_back_is_bounded_and_labelled if {
	authz.obligations == {
		{"type": "record_arguments"},
		{"type": "label", "add": ["source:private"]},
		{"type": "max_bytes", "n": 200000},
	} with input as ask("support", orders)
	authz.obligations == set() with input as plan({"sql": orders})
}

test_others_do_nothing if {
	every roles in [[], ["guest"]] {
		refused(object.union(ask("support", orders), {"subject": {"roles": roles}}))
		refused(object.union(call("x", "list_schemas", {}), {"subject": {"roles": roles}}))
	}
	refused(object.union(ask("support", orders), {"server": {"name": "other"}}))
}

test_only_calls_are_allowed if {
	every action in ["resources/read", "prompts/get", "elicitation/create", "tasks/get"] {
		every input_ in [
			ask("support", orders), plan({"sql": orders}), call("data-analyst", "list_schemas", {}),
			call("support", "list_objects", {"schema_name": "sales"}),
		] {
			refused(object.union(input_, {"action": action}))
		}
	}
}
