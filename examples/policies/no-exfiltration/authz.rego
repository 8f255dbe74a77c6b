# What a task has read does not leave it. An agent may use every tool, until it has touched a source
# that is private or untrusted; from then on all that reaches outside is closed to its task, and
# stays closed. The labels are the operator's, in the configuration:
#
#     mcpServers:
#       files: {…, tools: {"read_*": {labels: [source:private, source:untrusted]}}}
#       web:   {…, labels: [sink:external]}
package mcp.authz

# What the roles of data.json may do at all. Questions of servers to the client (sampling,
# elicitation, roots) are not among the actions, so they stay closed.
allow if {
	some role in input.subject.roles
	data.roles[role]
	data.actions[input.action]
}

deny contains "this task has read what is private or untrusted, and nothing leaves it any more; tell the user what you wanted to send, and where" if {
	outside
	closed
}

# One label is enough to close: what is private must not leave, and what is untrusted may have told
# the agent what to send. To close only when both have come together (the lethal trifecta), take
# source:untrusted out of data.json and add it here: "source:untrusted" in input.flow.labels.
closed if {
	some label in input.flow.labels
	data.closing[label]
}

outside if "sink:external" in input.tool.labels

outside if "sink:external" in input.resource.labels

outside if "sink:external" in input.prompt.labels

# Notifications, lists and answers to questions go to the server as well, and could carry anything.
# The list of tools is answered by the gateway itself.
outside if {
	"sink:external" in input.server.labels
	input.action != "tools/list"
}
