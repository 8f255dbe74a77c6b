# An assistant that reads mail reads what strangers wrote. Whatever a message talks it into,
# it cannot reach a secret and has no way to send one out: each rule bounds what its tool can
# touch, and nothing here tries to recognise a bad message.
package mcp.authz

# Documents: only below data.documents, and nothing hidden or secret there.
allow if {
	staff
	calls("files", {"list_directory", "read_file"})
	asks_for_document
}

# Mail: everything may be read, because reading it is what the assistant is for.
allow if {
	staff
	calls("mail", {"list_messages", "read_message"})
}

# Mail goes to one person inside the company.
allow if {
	staff
	calls("mail", {"send_mail"})
	to_colleague
	not copies
}

# Notes stay in the house.
allow if {
	staff
	calls("notes", {"add_note", "list_notes"})
}

# Only an operator may post, and only to known hosts. No rule lets an assistant post, so an
# assistant does not even see the tool.
allow if {
	operator
	calls("web", {"web_post"})
	to_known_host
}

# Why not. `allow` is what protects; these rules say the reason in words. They ask rules, not
# functions: `not document(input.arguments.path)` says nothing at all where there is no path.
deny contains "only documents may be read, and nothing hidden or secret among them" if {
	calls("files", {"list_directory", "read_file"})
	not asks_for_document
}

deny contains "mail goes only to one address inside the company" if {
	calls("mail", {"send_mail"})
	not to_colleague
}

deny contains "mail with copies to others is not sent" if {
	calls("mail", {"send_mail"})
	copies
}

deny contains "only an operator may post" if {
	calls("web", {"web_post"})
	not operator
}

deny contains "posts go only to hosts that the operator has listed" if {
	calls("web", {"web_post"})
	operator
	not to_known_host
}

staff if {
	some role in {"assistant", "operator"}
	role in input.subject.roles
}

operator if "operator" in input.subject.roles

calls(server, tools) if {
	input.action == "tools/call"
	input.server.name == server
	input.tool.name in tools
}

asks_for_document if document(input.arguments.path)

to_colleague if colleague(input.arguments.to)

to_known_host if known_host(input.arguments.url)

# A document's path has one reading only. The slash at the end keeps /documents-old out.
document(path) if {
	is_string(path)
	some root in data.documents
	startswith(concat("", [path, "/"]), root)
	every segment in split(path, "/") {
		plain(segment)
	}
	not secret(path)
}

# ASCII letters, digits, space, dot, dash and underline, with no dot or space at either end. So
# there are no hidden names, no "..", no backslash, no percent sign and no NUL. Other letters
# are left out because some file systems read them as these: "ſecret" is "secret" to them.
plain(segment) if regex.match(`^[A-Za-z0-9_]([A-Za-z0-9 ._-]*[A-Za-z0-9_-])?$`, segment)

plain("")

secret(path) if {
	some word in data.secrets
	contains(lower(path), word)
}

# One plain address: a quoted local part, a list or a comment does not fit.
colleague(to) if {
	is_string(to)
	[local, domain] := split(to, "@")
	regex.match(`^[A-Za-z0-9][A-Za-z0-9._+-]*$`, local)
	lower(domain) in data.company
}

copies if _ = input.arguments.cc

copies if _ = input.arguments.bcc

# The slash after the host keeps https://status.example.com@evil.example out.
known_host(url) if {
	is_string(url)
	some host in data.post_hosts
	startswith(url, concat("", ["https://", host, "/"]))
}
