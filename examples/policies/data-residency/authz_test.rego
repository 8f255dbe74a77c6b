package mcp.authz_test

import data.mcp.authz

call(role, server, tool, arguments) := {
	"subject": {"id": "ann", "roles": [role]},
	"action": "tools/call",
	"server": {"name": server},
	"tool": {"name": tool},
	"arguments": arguments,
	"flow": {"labels": []},
}

logs(role, region) := call(role, "cloudwatch", "execute_log_insights_query", {"query_string": "fields @message", "region": region})

fetch(role, url) := call(role, "fetch", "fetch", {"url": url})

touched(input_, labels) := object.union(input_, {"flow": {"labels": labels}})

two(input_) := object.union(input_, {"subject": {"roles": ["eu-analyst", "us-analyst"]}})

allowed(input_) if {
	authz.allow with input as input_
	count(authz.deny) == 0 with input as input_
}

refused(input_) if not authz.allow with input as input_

test_regions_of_the_zone if {
	every region in ["eu-central-1", "eu-west-1"] {
		allowed(logs("eu-analyst", region))
		allowed(call("eu-analyst", "cloudwatch", "get_metric_data", {"region": region}))
		refused(logs("us-analyst", region))
	}
	every region in ["us-east-1", "us-west-2"] {
		allowed(logs("us-analyst", region))
		refused(logs("eu-analyst", region))
	}
}

test_the_region_must_be_said if {
	every region in ["", "EU-CENTRAL-1", "eu-central-1 ", "eu-central-1,us-east-1", "eu-central-2", null, 7, ["eu-central-1"], {"a": "eu-central-1"}] {
		refused(logs("eu-analyst", region))
		authz.deny == {"say the region, one of your own zone"} with input as logs("eu-analyst", region)
	}
	left_out := call("eu-analyst", "cloudwatch", "describe_log_groups", {})
	refused(left_out)
	authz.deny == {"say the region, one of your own zone"} with input as left_out
}

test_urls_of_the_zone if {
	every url in ["https://crm.eu.example.com/customers", "https://a.b.eu.example.com/", "https://reports.example.de/2026"] {
		allowed(fetch("eu-analyst", url))
		refused(fetch("us-analyst", url))
	}
	allowed(fetch("us-analyst", "https://crm.us.example.com/customers"))
}

test_urls_have_one_reading if {
	every url in [
		"https://crm.us.example.com/", "https://eu.example.com.evil.example/", "https://crm.eu.example.com@evil.example/",
		"https://evil.example/?crm.eu.example.com", "http://crm.eu.example.com/", "https://crm.eu.example.com:8443/", "https://10.0.0.7/",
		"https://evil.example\\.eu.example.com/", "//crm.eu.example.com/", "crm.eu.example.com", "", null, 7, ["https://crm.eu.example.com/"],
	] {
		refused(fetch("eu-analyst", url))
		authz.deny == {"the URL does not lead to a host of your own zone"} with input as fetch("eu-analyst", url)
	}
	refused(call("eu-analyst", "fetch", "fetch", {}))
}

test_servers_of_the_zone if {
	allowed(call("eu-analyst", "orders-eu", "execute_sql", {"sql": "SELECT 1"}))
	allowed(call("us-analyst", "orders-us", "execute_sql", {"sql": "SELECT 1"}))
	refused(call("eu-analyst", "orders-us", "execute_sql", {"sql": "SELECT 1"}))
	tables := object.union(data.roles, {"eu-analyst": {"tools": {"orders-us": {"execute_sql": "server"}}}})
	not authz.allow with input as call("eu-analyst", "orders-us", "execute_sql", {}) with data.roles as tables
}

test_a_task_stays_in_its_zone if {
	every labels in [[], ["zone:eu"], ["source:private", "zone:eu"], ["zone:asia", "us"]] {
		allowed(touched(logs("eu-analyst", "eu-west-1"), labels))
	}
	every labels in [["zone:us"], ["zone:eu", "zone:us"]] {
		every input_ in [
			logs("eu-analyst", "eu-west-1"), fetch("eu-analyst", "https://reports.example.de/"),
			call("eu-analyst", "orders-eu", "execute_sql", {}),
		] {
			authz.deny == {"this task has touched data of another zone; begin a new one"} with input as touched(input_, labels)
		}
	}
	authz.deny == set() with input as touched(call("eu-analyst", "memory", "read_graph", {}), ["zone:us"])
}

# Who has roles in two zones works in one at a time.
test_two_zones_are_two_tasks if {
	allowed(two(logs("x", "eu-west-1")))
	allowed(two(logs("x", "us-east-1")))
	authz.obligations == {{"type": "label", "add": ["zone:us"]}} with input as two(logs("x", "us-east-1"))
	allowed(touched(two(logs("x", "us-east-1")), ["zone:us"]))
	not allowed(touched(two(logs("x", "us-east-1")), ["zone:eu"]))
	not allowed(touched(two(fetch("x", "https://crm.us.example.com/")), ["zone:eu"]))
	refused(two(fetch("x", "https://crm.asia.example.com/")))
}

test_each_zone_has_its_label if {
	data.zone_of == {label: zone |
		some zone, _ in data.zones
		label := concat(":", ["zone", zone])
	}
}

test_what_is_touched_is_marked if {
	authz.obligations == {{"type": "label", "add": ["zone:eu"]}} with input as logs("eu-analyst", "eu-west-1")
	authz.obligations == {{"type": "label", "add": ["zone:us"]}} with input as logs("us-analyst", "us-east-1")
	authz.obligations == {{"type": "label", "add": ["zone:eu"]}} with input as call("eu-analyst", "orders-eu", "list_objects", {})
	authz.obligations == set() with input as logs("us-analyst", "eu-west-1")
	authz.obligations == set() with input as call("us-analyst", "orders-eu", "execute_sql", {})
}

test_others_do_nothing if {
	every roles in [[], ["guest"]] {
		every input_ in [logs("x", "eu-west-1"), fetch("x", "https://reports.example.de/"), call("x", "orders-eu", "execute_sql", {})] {
			refused(object.union(input_, {"subject": {"roles": roles}}))
		}
	}
}

test_only_calls_are_allowed if {
	every action in ["resources/read", "prompts/get", "elicitation/create", "tasks/get"] {
		every input_ in [
			logs("eu-analyst", "eu-west-1"), fetch("eu-analyst", "https://reports.example.de/"),
			call("eu-analyst", "orders-eu", "execute_sql", {}),
		] {
			refused(object.union(input_, {"action": action}))
		}
	}
}
