// Package hidden finds the characters that a person does not see and a model or a terminal
// does: control and format characters, whole terminal control sequences, tags, private use,
// variation selectors and joiners where no script or emoji needs them.
//
// [Strip] takes them out of texts, [Check] names the first one in a name or a
// description, [Skeleton] folds look-alikes together. The package judges characters and
// nothing else: what visible words say is not its business.
//
// It imports the standard library and golang.org/x/text, and may be imported by everything
// under gateway.
package hidden
