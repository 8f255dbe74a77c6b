# An agent that asks a PostgreSQL database: one statement at a time, which PostgreSQL's own parser has
# read and which only reads, with a limit of rows at its end.
package mcp.authz

allow if {
	calls
	"schemas" in uses
}

allow if {
	calls
	"objects" in uses
	schema
}

allow if {
	calls
	"plan" in uses
	not runs
	reads
}

# One role must allow the whole call. The limit is looked at first: to parse costs more.
allow if {
	calls
	some role in input.subject.roles
	data.roles[role].tools[input.server.name][input.tool.name] == "rows"
	rows <= data.roles[role].rows
	reads
}

deny contains "this schema is not among those that may be looked at" if {
	"objects" in uses
	not schema
}

deny contains "plans are made without running the statement; leave analyze out" if {
	"plan" in uses
	runs
}

deny contains reason if {
	sql
	not reads
	reason := sprintf("one statement that only reads may be sent: %s", [mcp.sql_check(input.arguments.sql, "postgres").reason])
}

deny contains reason if {
	"rows" in uses
	not few
	reason := sprintf("end the statement with LIMIT and a number, at most %d, and leave comments out", [most])
}

# Who asked what is worth keeping, and what came back counts as private from here on.
obligations contains {"type": "record_arguments"} if "rows" in uses

obligations contains {"type": "label", "add": ["source:private"]} if "rows" in uses

# A row can be as long as a table: string_agg makes one of all.
obligations contains {"type": "max_bytes", "n": data.most_bytes} if "rows" in uses

# What the caller's roles use the tool for: nothing where no role has it.
uses contains use if {
	some role in input.subject.roles
	use := data.roles[role].tools[input.server.name][input.tool.name]
}

calls if input.action == "tools/call"

schema if data.schemas[input.arguments.schema_name]

runs if input.arguments.analyze

sql if "rows" in uses

sql if "plan" in uses

reads if {
	is_string(input.arguments.sql)
	mcp.sql_read_only(input.arguments.sql, "postgres")
}

# The limit at the very end is that of the whole statement: a bracket would have to be closed after
# it, and so would a quote. A comment would not, so there is none.
rows := to_number(found[0][1]) if {
	not contains(input.arguments.sql, "--")
	not contains(input.arguments.sql, "/*")
	found := regex.find_all_string_submatch_n(`(?i)\slimit\s+([0-9]{1,6})(?:\s+offset\s+[0-9]{1,9})?\s*;?\s*$`, input.arguments.sql, 1)
}

few if {
	some role in input.subject.roles
	rows <= data.roles[role].rows
}

most := max([n | some role in input.subject.roles; n := data.roles[role].rows])
