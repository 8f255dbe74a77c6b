package mcp.authz_test

import data.mcp.authz

call(roles, tool, arguments) := {
	"subject": {"id": "someone", "roles": roles},
	"action": "tools/call",
	"server": {"name": "upstream"},
	"tool": {"name": tool},
	"arguments": arguments,
	"request": {"method": "tools/call"},
}

measured(input_, files) := object.union(input_, {"subject": {"measured": files}})

# The tests bring their own lists, so that data.json can change without them.
allowed(input_) if {
	authz.allow with input as input_ with data.folders as ["/srv/docs/"] with data.reads as ["read_file"]
	count(authz.deny) == 0 with input as input_
}

test_reader_reads_below_the_folders if {
	allowed(call(["reader"], "read_file", {"path": "/srv/docs/a.txt"}))
	not allowed(call(["reader"], "read_file", {"path": "/etc/passwd"}))
}

test_reader_writes_nothing if not allowed(call(["reader"], "write_file", {"path": "/srv/docs/a.txt"}))

test_operator_calls_every_tool if allowed(call(["operator"], "write_file", {"path": "/srv/docs/a.txt"}))

test_nobody_reads_credentials if {
	every role in {"reader", "operator"} {
		not allowed(call([role], "read_file", {"path": "/srv/docs/.aws/credentials"}))
		not allowed(call([role], "read_file", {"path": "/srv/docs/.ssh"}))
		not allowed(call([role], "read_file", {"path": "/srv/docs/../../etc/passwd"}))
	}
}

test_others_do_nothing if not allowed(call(["guest"], "read_file", {"path": "/srv/docs/a.txt"}))

test_changed_files_are_refused_until_somebody_approves if {
	every role in {"reader", "operator"} {
		read := call([role], "read_file", {"path": "/srv/docs/a.txt"})
		allowed(measured(read, {"digest": "sha256:1", "changed": false, "approved": false}))
		allowed(measured(read, {"digest": "sha256:2", "changed": true, "approved": true}))
		not allowed(measured(read, {"digest": "sha256:2", "changed": true, "approved": false}))
	}
}
