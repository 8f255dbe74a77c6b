# An agent that calls what costs money: each tool has a budget of calls and of repeats, of what goes out
# and comes back, and where one call can ask for much, of that.
package mcp.authz

allow if {
	calls
	some budget in budgets
	budget.asks == "once"
}

allow if {
	calls
	limited
}

allow if {
	calls
	counted
}

deny contains sprintf("limit must be given, from 1 to %d", [budget.at_most]) if {
	some budget in budgets
	budget.asks == "limit"
	not limited
}

deny contains sprintf("count must be given, from 1 to %d", [budget.at_most]) if {
	some budget in budgets
	budget.asks == "count"
	not counted
}

# Where two roles have a tool, both budgets hold: the smaller one is reached first.
obligations contains {"type": "max_calls", "n": budget.calls, "per": "tool"} if some budget in budgets

# An agent that asks the same again will do so until somebody stops it.
obligations contains {"type": "max_repeats", "n": budget.repeats, "within": "1h"} if some budget in budgets

obligations contains {"type": "max_bytes", "n": budget.bytes} if some budget in budgets

# And all tools together.
obligations contains {"type": "max_calls", "n": data.in_all.calls, "per": "grant"} if count(budgets) > 0

obligations contains {"type": "max_bytes", "n": data.in_all.bytes_sent, "of": "arguments", "per": "grant"} if count(budgets) > 0

# The budgets of the tool, one for each of the caller's roles that has it.
budgets contains budget if {
	some role in input.subject.roles
	budget := data.roles[role][input.server.name][input.tool.name]
}

calls if input.action == "tools/call"

limited if {
	some budget in budgets
	budget.asks == "limit"
	within(input.arguments.limit, budget.at_most)
}

counted if {
	some budget in budgets
	budget.asks == "count"
	within(input.arguments.count, budget.at_most)
}

# Only a number is between two numbers: what is no number is under all of them, or over.
within(n, most) if {
	n >= 1
	n <= most
}
