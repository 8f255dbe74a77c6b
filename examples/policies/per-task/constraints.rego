# Rules that a grant may name to bind the arguments of its calls further than the policy does:
# {"tools": "files.read_*", "rego": "data.mcp.constraints.only_docs"} in a file for
# `sallyport grant create --args FILE`. They decide nothing on their own.
package mcp.constraints

only_docs if {
	startswith(input.arguments.path, "/srv/docs/")
	not ".." in split(input.arguments.path, "/")
}
