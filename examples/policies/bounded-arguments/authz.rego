# A tool is as dangerous as its arguments. Each role has its own bounds in data.json: where it
# may read and write, how much it may pay and to whom, whom it may write to, how many rows it
# may ask for. A role without bounds for a tool does not see the tool.
package mcp.authz

# One role must allow the whole call: the limit of one is not joined with the payee of another.
allow if {
	some role in input.subject.roles
	calls("files", {"list_directory", "read_file"})
	below(input.arguments.path, data.roles[role].read)
}

allow if {
	some role in input.subject.roles
	calls("files", {"write_file"})
	below(input.arguments.path, data.roles[role].write)
}

allow if {
	some role in input.subject.roles
	calls("payments", {"transfer"})
	within(input.arguments.amount, data.roles[role].pay.most)
	input.arguments.payee in data.roles[role].pay.payees
}

allow if {
	some role in input.subject.roles
	calls("mail", {"send_mail"})
	input.arguments.to in data.roles[role].recipients
}

allow if {
	some role in input.subject.roles
	calls("orders", {"search_orders"})
	within(input.arguments.limit, data.roles[role].rows)
}

# Why not, in words.
deny contains "the path is outside what this role may read" if {
	calls("files", {"list_directory", "read_file"})
	not readable
}

deny contains "the path is outside what this role may write" if {
	calls("files", {"write_file"})
	not writable
}

deny contains "the amount is not within this role's limit" if {
	calls("payments", {"transfer"})
	not affordable
}

deny contains "the payee is not one that this role may pay" if {
	calls("payments", {"transfer"})
	not known_payee
}

deny contains "the recipient is not one that this role may write to" if {
	calls("mail", {"send_mail"})
	not known_recipient
}

deny contains "limit must be given, and within what this role may ask for" if {
	calls("orders", {"search_orders"})
	not few_rows
}

readable if {
	some role in input.subject.roles
	below(input.arguments.path, data.roles[role].read)
}

writable if {
	some role in input.subject.roles
	below(input.arguments.path, data.roles[role].write)
}

affordable if {
	some role in input.subject.roles
	within(input.arguments.amount, data.roles[role].pay.most)
}

known_payee if {
	some role in input.subject.roles
	input.arguments.payee in data.roles[role].pay.payees
}

known_recipient if {
	some role in input.subject.roles
	input.arguments.to in data.roles[role].recipients
}

few_rows if {
	some role in input.subject.roles
	within(input.arguments.limit, data.roles[role].rows)
}

calls(server, tools) if {
	input.action == "tools/call"
	input.server.name == server
	input.tool.name in tools
}

# Only a number is between two numbers: in Rego every string is greater than all of them, and what is
# no number else is smaller.
within(amount, most) if {
	amount > 0
	amount <= most
}

# Each root ends with a slash, so that /srv/invoices-old is not below /srv/invoices/. The
# percent sign is refused because some servers decode it, the backslash because some
# servers take it for a slash, and the wide dot because some take it for a dot.
below(path, roots) if {
	is_string(path)
	some root in roots
	startswith(concat("", [path, "/"]), root)
	every segment in split(path, "/") {
		not trim(segment, " ;\t") in {".", ".."}
	}
	every odd in {"\\", "%", "\u0000", "\uff0e"} {
		not contains(path, odd)
	}
}
