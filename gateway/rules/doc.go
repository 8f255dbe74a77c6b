// Package rules holds what the operator says of the tools, resources and prompts of a server:
// their labels, the kinds of content that they may return, and what their arguments must be.
//
// It is not policy: it decides nothing but whether an argument is of its kind. Package gateway
// imports it to label what a call touches; package gateway/config makes the sets.
package rules
