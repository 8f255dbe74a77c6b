package mcp.authz_test

import data.mcp.authz

at(when, role, tool) := {
	"subject": {"id": "ann", "roles": [role]},
	"action": "tools/call",
	"server": {"name": "slack"},
	"tool": {"name": tool},
	"arguments": {"channel_id": "C0123456", "text": "hello"},
	"request": {"time": when, "method": "tools/call"},
}

allowed(input_) if {
	authz.allow with input as input_
	count(authz.deny) == 0 with input as input_
}

refused(input_) if not authz.allow with input as input_

closed := "it is outside the business hours of this role; leave a draft, and a person sends it"

# Winter, summer, the days before and after the clocks change, each day of the week.
berlin_open := [
	"2026-01-12T07:00:00Z", "2026-01-12T16:59:59Z", "2026-01-13T07:00:00Z", "2026-01-13T16:59:59Z", "2026-01-14T07:00:00Z",
	"2026-01-14T16:59:59Z", "2026-01-15T07:00:00Z", "2026-01-15T16:59:59Z", "2026-01-16T07:00:00Z", "2026-01-16T14:29:59Z",
	"2026-07-15T06:00:00Z", "2026-07-15T15:59:59Z", "2026-03-27T07:00:00Z", "2026-03-30T06:00:00Z",
]

berlin_closed := [
	"2026-01-12T06:59:59Z", "2026-01-12T17:00:00Z", "2026-01-13T06:59:59Z", "2026-01-13T17:00:00Z", "2026-01-14T06:59:59Z",
	"2026-01-14T17:00:00Z", "2026-01-15T06:59:59Z", "2026-01-15T17:00:00Z", "2026-01-16T06:59:59Z", "2026-01-16T14:30:00Z",
	"2026-07-15T05:59:59Z", "2026-07-15T16:00:00Z", "2026-01-17T10:00:00Z", "2026-01-18T10:00:00Z", "2026-05-01T09:00:00Z", "2026-12-25T10:00:00Z",
]

test_the_office_answers_when_it_is_open if {
	every when in berlin_open {
		allowed(at(when, "support-berlin", "slack_reply_to_thread"))
	}
	every when in berlin_closed {
		refused(at(when, "support-berlin", "slack_reply_to_thread"))
		authz.deny == {closed} with input as at(when, "support-berlin", "slack_reply_to_thread")
	}
}

test_each_office_has_its_clock if {
	every when in ["2026-01-12T14:00:00Z", "2026-01-14T14:00:00Z", "2026-01-14T21:59:59Z", "2026-07-15T13:00:00Z", "2026-01-16T21:00:00Z"] {
		allowed(at(when, "support-new-york", "slack_reply_to_thread"))
	}
	every when in [
		"2026-01-14T13:59:59Z", "2026-01-14T22:00:00Z", "2026-01-12T13:59:59Z", "2026-01-12T22:00:00Z", "2026-01-13T15:00:00Z",
		"2026-01-16T13:59:59Z", "2026-01-16T22:00:00Z", "2026-07-03T15:00:00Z",
	] {
		refused(at(when, "support-new-york", "slack_reply_to_thread"))
	}
	allowed(at("2026-01-12T21:59:59Z", "support-new-york", "slack_reply_to_thread"))
	allowed(at("2026-01-16T21:59:59Z", "support-new-york", "slack_reply_to_thread"))
	allowed(at("2026-01-16T14:00:00Z", "support-new-york", "slack_reply_to_thread"))
}

test_reading_has_no_hours if {
	every when in array.concat(berlin_open, berlin_closed) {
		every tool in ["slack_get_channel_history", "slack_get_thread_replies", "slack_list_channels"] {
			allowed(at(when, "support-berlin", tool))
		}
		allowed(at(when, "support-new-york", "slack_get_thread_replies"))
	}
}

test_one_role_has_no_hours_at_all if {
	every when in array.concat(berlin_open, berlin_closed) {
		allowed(at(when, "incident-bot", "slack_post_message"))
		refused(at(when, "incident-bot", "slack_reply_to_thread"))
	}
}

# The bot may say something at night, and the office may answer threads: together they answer none at night.
test_one_role_allows_the_whole_call if {
	night := object.union(at("2026-01-14T03:00:00Z", "x", "slack_reply_to_thread"), {"subject": {"roles": ["support-berlin", "incident-bot"]}})
	refused(night)
	afternoon := object.union(at("2026-01-14T20:00:00Z", "x", "slack_post_message"), {"subject": {"roles": ["support-berlin", "support-new-york"]}})
	refused(afternoon)
}

test_others_do_nothing if {
	every roles in [[], ["guest"]] {
		every tool in ["slack_reply_to_thread", "slack_list_channels", "slack_post_message"] {
			refused(object.union(at("2026-01-14T10:00:00Z", "x", tool), {"subject": {"roles": roles}}))
		}
	}
	refused(object.union(at("2026-01-14T10:00:00Z", "support-berlin", "slack_reply_to_thread"), {"server": {"name": "other"}}))
}

test_only_calls_are_allowed if {
	every action in ["resources/read", "prompts/get", "elicitation/create", "tasks/get"] {
		refused(object.union(at("2026-01-14T10:00:00Z", "support-berlin", "slack_reply_to_thread"), {"action": action}))
		refused(object.union(at("2026-01-14T10:00:00Z", "support-berlin", "slack_list_channels"), {"action": action}))
		refused(object.union(at("2026-01-14T10:00:00Z", "incident-bot", "slack_post_message"), {"action": action}))
	}
}
