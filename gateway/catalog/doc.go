// Package catalog holds what an upstream offers: its tool definitions as the exact bytes it
// sent, their input schemas compiled under budgets, and its lists as spans that can be
// filtered without re-encoding anything.
//
// The package decides nothing about who may see or call a tool. It says what a tool is
// ([Tool]), whether its definition can be served at all ([Tool.Problem]), whether arguments
// match its schema ([Schema.Validate]), and it takes elements out of a list on request
// ([Page.Filter]). Everything in a [Listing] is immutable after [BuildListing].
//
// Definitions and schemas come from an upstream and are hostile until shown otherwise: a
// schema may not reach outside its own document, and neither compiling it nor validating
// against it can cost more than the budgets in budget.go.
//
// It may be imported by everything under gateway except wire; it imports gateway/wire,
// gateway/guard/hidden, internal/strictjson and santhosh-tekuri/jsonschema.
package catalog
