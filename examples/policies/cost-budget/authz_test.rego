package mcp.authz_test

import data.mcp.authz

call(role, server, tool, arguments) := {
	"subject": {"id": "ann", "roles": [role]},
	"action": "tools/call",
	"server": {"name": server},
	"tool": {"name": tool},
	"arguments": arguments,
}

search(role, count_) := call(role, "brave", "brave_web_search", {"query": "q", "count": count_})

crawl(limit) := call("researcher", "firecrawl", "firecrawl_crawl", {"url": "https://example.com/", "limit": limit})

scrape := call("researcher", "firecrawl", "firecrawl_scrape", {"url": "https://example.com/"})

allowed(input_) if {
	authz.allow with input as input_
	count(authz.deny) == 0 with input as input_
}

refused(input_) if not authz.allow with input as input_

test_within_the_budget_of_one_call if {
	allowed(scrape)
	every n in [1, 3, 10] {
		allowed(search("researcher", n))
	}
	allowed(search("trainee", 3))
	allowed(crawl(25))
	allowed(call("researcher", "firecrawl", "firecrawl_search", {"query": "q", "limit": 5}))
}

odd := [0, -1, 0.5, "1", "10", null, true, [1], {"n": 1}]

test_too_much_at_once_is_refused if {
	every n in array.concat(odd, [11, 1000]) {
		refused(search("researcher", n))
		authz.deny == {"count must be given, from 1 to 10"} with input as search("researcher", n)
	}
	every n in array.concat(odd, [26, 1000]) {
		refused(crawl(n))
		authz.deny == {"limit must be given, from 1 to 25"} with input as crawl(n)
	}
	refused(search("trainee", 4))
	refused(call("researcher", "firecrawl", "firecrawl_search", {"query": "q", "limit": 6}))
	refused(call("researcher", "firecrawl", "firecrawl_crawl", {"url": "https://example.com/"}))
	refused(call("researcher", "firecrawl", "firecrawl_crawl", {"url": "https://example.com/", "count": 1}))
	refused(call("researcher", "brave", "brave_web_search", {"query": "q"}))
	refused(call("researcher", "brave", "brave_web_search", {"query": "q", "limit": 1}))
}

test_two_roles_have_both_budgets if {
	both := object.union(search("trainee", 10), {"subject": {"roles": ["trainee", "researcher"]}})
	authz.allow with input as both
	count(authz.deny) == 0 with input as both
	{"type": "max_calls", "n": 5, "per": "tool"} in authz.obligations with input as both
	{"type": "max_calls", "n": 50, "per": "tool"} in authz.obligations with input as both
}

test_each_tool_has_its_budget if {
	all_ := {
		{"type": "max_calls", "n": 80, "per": "grant"},
		{"type": "max_bytes", "n": 50000, "of": "arguments", "per": "grant"},
	}
	authz.obligations == all_ | {
		{"type": "max_calls", "n": 40, "per": "tool"},
		{"type": "max_repeats", "n": 2, "within": "1h"},
		{"type": "max_bytes", "n": 200000},
	} with input as scrape
	authz.obligations == set() with input as call("researcher", "firecrawl", "firecrawl_extract", {})
}

test_others_do_nothing if {
	every roles in [[], ["guest"]] {
		every input_ in [scrape, search("researcher", 1), crawl(1)] {
			refused(object.union(input_, {"subject": {"roles": roles}}))
		}
	}
	refused(object.union(scrape, {"server": {"name": "brave"}}))
}

test_only_calls_are_allowed if {
	every action in ["resources/read", "prompts/get", "elicitation/create", "tasks/get"] {
		every input_ in [scrape, search("researcher", 1), crawl(1)] {
			refused(object.union(input_, {"action": action}))
		}
	}
}
