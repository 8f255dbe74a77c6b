package mcp.authz_test

import data.mcp.authz

call(role, server, tool, arguments) := {
	"subject": {"id": "someone", "roles": [role]},
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

read(path) := call("assistant", "files", "read_file", {"path": path})

mail(to) := call("assistant", "mail", "send_mail", {"to": to, "subject": "s", "body": "b"})

post(role, url) := call(role, "web", "web_post", {"url": url, "body": "b"})

test_assistant_reads_documents if {
	every path in {"/documents/roadmap.md", "/documents/hr/leave policy.txt", "/documents/v1.2_final-b.md"} {
		allowed(read(path))
	}
	allowed(call("assistant", "files", "list_directory", {"path": "/documents"}))
	allowed(call("assistant", "files", "list_directory", {"path": "/documents/hr/"}))
}

test_nothing_else_is_read if {
	every path in {
		"", "/", "/home/dana/.aws/credentials", "documents/roadmap.md", "/documents-old/roadmap.md",
		"/home/documents/a.md", "/documents/../home/dana/.aws/credentials", "/documents/..", "/documents/./x", "/documents/.env",
		"/documents/.git/config", "/documents/..\\x", "/documents/%2e%2e/x", "/documents/a\u0000.md",
		"/documents/hr/..;/x", "/documents/ ../x", "/documents/\uff0e\uff0e/x", "/documents/roadmap.md ",
		"/documents/\u017fecret.txt", "/documents/Pa\u00dfword.txt", "/documents/\uff53ecret.txt", "/documents/Gr\u00fc\u00dfe.md",
		"/documents/my-password.txt", "/documents/id_rsa", "/documents/id_ed25519", "/documents/server.key", "/documents/box.p12", "/documents/box.kdbx",
		"/documents/secret.txt", "/documents/AWS-Credentials.txt", "/documents/server.pem", "/documents/x\n", "/Documents/roadmap.md",
		"file:///documents/roadmap.md", "~/documents/roadmap.md", null, 7, ["/documents/roadmap.md"],
	} {
		refused(read(path))
	}
	refused(call("assistant", "files", "read_file", {}))
}

test_a_refused_read_says_why if {
	authz.deny == {"only documents may be read, and nothing hidden or secret among them"} with input as read("/etc/passwd")
	count(authz.deny) == 1 with input as call("assistant", "files", "read_file", {})
}

test_assistant_does_not_write_files if {
	refused(call("assistant", "files", "write_file", {"path": "/documents/roadmap.md"}))
}

test_mail_stays_in_the_company if {
	allowed(mail("dana@example.com"))
	allowed(mail("Dana.Reyes+todo@Example.COM"))
	every to in {
		"", "x@evil.example", "x@example.com.evil.example", "x@notexample.com", "x@evil.example,dana@example.com",
		"dana@example.com, x@evil.example", "\"x@evil.example\"@example.com", "x%evil.example@example.com",
		"dana@example.com\nbcc: x@evil.example", "<dana@example.com>", "@example.com", "dana@example.com ", "dana",
		null, ["dana@example.com"],
	} {
		refused(mail(to))
	}
}

test_mail_has_no_copies if {
	to := {"to": "dana@example.com", "subject": "s", "body": "b"}
	every extra in {{"cc": "x@evil.example"}, {"bcc": ["x@evil.example"]}, {"bcc": false}} {
		refused(call("assistant", "mail", "send_mail", object.union(to, extra)))
	}
}

test_assistant_reads_mail_and_takes_notes if {
	allowed(call("assistant", "mail", "list_messages", {}))
	allowed(call("assistant", "mail", "read_message", {"id": "3"}))
	allowed(call("assistant", "notes", "add_note", {"text": "t"}))
	allowed(call("assistant", "notes", "list_notes", {}))
}

test_assistant_never_posts if {
	refused(post("assistant", "https://status.example.com/report"))
	refused(post("assistant", "https://evil.example/"))
	every url in ["https://status.example.com/report", "https://evil.example/"] {
		authz.deny == {"only an operator may post"} with input as post("assistant", url)
	}
}

test_operator_posts_to_known_hosts_only if {
	allowed(post("operator", "https://status.example.com/report"))
	every url in {
		"http://status.example.com/", "https://status.example.com", "https://status.example.com@evil.example/",
		"https://status.example.com.evil.example/", "https://status.example.com:444/", "//status.example.com/",
		" https://status.example.com/", "https://evil.example/https://status.example.com/", null,
	} {
		refused(post("operator", url))
	}
}

test_others_do_nothing if {
	refused(call("guest", "notes", "list_notes", {}))
	refused(call("guest", "files", "read_file", {"path": "/documents/roadmap.md"}))
	refused(object.union(read("/documents/roadmap.md"), {"subject": {"roles": []}}))
}

test_only_these_servers_and_actions if {
	refused(call("assistant", "other", "read_file", {"path": "/documents/roadmap.md"}))
	refused(object.union(read("/documents/roadmap.md"), {"action": "sampling/createMessage"}))
	refused({"subject": {"roles": ["operator"]}, "action": "resources/read", "resource": {"uri": "file:///x"}, "server": {"name": "files"}})
}
