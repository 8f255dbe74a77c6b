package mcp.authz_test

import data.mcp.authz

call(roles, server, tool, arguments) := {
	"subject": {"id": "someone", "roles": roles},
	"action": "tools/call",
	"server": {"name": server},
	"tool": {"name": tool},
	"arguments": arguments,
}

allowed(input_) if {
	authz.allow with input as input_
	count(authz.deny) == 0 with input as input_
}

# The rule that allows is asked by itself: the reasons are words, and must not be what protects.
refused(input_) if not authz.allow with input as input_

read(role, path) := call([role], "files", "read_file", {"path": path})

write(role, path) := call([role], "files", "write_file", {"path": path, "content": "c"})

pay(roles, amount, payee) := call(roles, "payments", "transfer", {"amount": amount, "payee": payee})

search(role, limit) := call([role], "orders", "search_orders", {"limit": limit})

test_paths_differ_by_role if {
	allowed(read("clerk", "/srv/invoices/2026/11.pdf"))
	allowed(call(["clerk"], "files", "list_directory", {"path": "/srv/invoices"}))
	refused(read("clerk", "/srv/salaries/11.pdf"))
	allowed(read("manager", "/srv/salaries/11.pdf"))
	allowed(write("clerk", "/srv/invoices/drafts/1.txt"))
	refused(write("clerk", "/srv/invoices/1.txt"))
	allowed(write("manager", "/srv/invoices/1.txt"))
	refused(write("auditor", "/srv/invoices/1.txt"))
}

test_paths_have_one_reading if {
	every path in {
		"/srv/invoices/../salaries/11.pdf", "/srv/invoices/..", "/srv/invoices/./x", "/srv/invoices-old/x",
		"/srv/invoices/..\\x", "/srv/invoices/%2e%2e/x", "/srv/invoices/a\u0000b", "srv/invoices/x", "/home/srv/invoices/x", "/", "",
		"/srv/invoices/.. /x", "/srv/invoices/..;/x", "/srv/invoices/\uff0e\uff0e/x", "/SRV/invoices/x", null, 7, ["/srv/invoices/x"],
	} {
		refused(read("clerk", path))
	}
	refused(call(["clerk"], "files", "read_file", {}))
	allowed(read("clerk", "/srv/invoices/.~/..draft"))
}

test_amounts_differ_by_role if {
	allowed(pay(["clerk"], 500, "ACME-001"))
	refused(pay(["clerk"], 500.01, "ACME-001"))
	allowed(pay(["manager"], 20000, "RENT-100"))
	refused(pay(["manager"], 20001, "RENT-100"))
	refused(pay(["auditor"], 1, "ACME-001"))
}

test_odd_amounts_are_refused if {
	every amount in {0, -1, "500", "1", null, true, [1], {"n": 1}} {
		refused(pay(["manager"], amount, "ACME-001"))
	}
	refused(call(["manager"], "payments", "transfer", {"payee": "ACME-001"}))
}

test_payees_are_listed if {
	refused(pay(["clerk"], 10, "RENT-100"))
	refused(pay(["manager"], 10, "EVIL-666"))
	refused(pay(["manager"], 10, "acme-001"))
	refused(call(["manager"], "payments", "transfer", {"amount": 10}))
}

test_one_role_allows_the_whole_call if {
	allowed(pay(["clerk", "auditor"], 10, "ACME-001"))
	allowed(pay(["clerk", "manager"], 600, "RENT-100"))
	split := {"roles": {"a": {"pay": {"most": 10, "payees": ["X"]}}, "b": {"pay": {"most": 1000, "payees": ["Y"]}}}}
	not authz.allow with input as pay(["a", "b"], 1000, "X") with data.roles as split.roles
	authz.allow with input as pay(["a", "b"], 1000, "Y") with data.roles as split.roles
}

test_recipients_are_listed if {
	mail := {"to": "board@example.com", "subject": "s", "body": "b"}
	allowed(call(["manager"], "mail", "send_mail", mail))
	refused(call(["clerk"], "mail", "send_mail", mail))
	refused(call(["manager"], "mail", "send_mail", {"to": "x@evil.example"}))
	refused(call(["manager"], "mail", "send_mail", {"to": ["board@example.com", "x@evil.example"]}))
}

test_limits_must_be_given if {
	allowed(search("clerk", 50))
	refused(search("clerk", 51))
	allowed(search("auditor", 10000))
	refused(call(["auditor"], "orders", "search_orders", {}))
}

test_reasons_are_words if {
	authz.deny == {"the amount is not within this role's limit"} with input as pay(["clerk"], 501, "ACME-001")
	authz.deny == {"the payee is not one that this role may pay"} with input as pay(["clerk"], 1, "RENT-100")
	authz.deny == {"the path is outside what this role may read"} with input as read("clerk", "/etc/passwd")
	authz.deny == {"the path is outside what this role may write"} with input as write("clerk", "/etc/passwd")
	authz.deny == {"limit must be given, and within what this role may ask for"} with input as search("clerk", "all")
	authz.deny == {"the recipient is not one that this role may write to"} with input as call(["clerk"], "mail", "send_mail", {})
}

test_others_do_nothing if {
	refused(read("guest", "/srv/invoices/1.txt"))
	refused(call(["manager"], "payments", "refund", {"amount": 1, "payee": "ACME-001"}))
	refused(call(["manager"], "other", "transfer", {"amount": 1, "payee": "ACME-001"}))
}

test_only_calls_are_allowed if {
	every action in ["resources/read", "prompts/get", "elicitation/create", "tasks/get"] {
		refused(object.union(read("clerk", "/srv/invoices/1.txt"), {"action": action}))
		refused(object.union(pay(["clerk"], 1, "ACME-001"), {"action": action}))
	}
}
