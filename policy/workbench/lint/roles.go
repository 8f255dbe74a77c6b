package lint

import (
	"context"
	"fmt"
	"slices"

	"sallyport/policy"
)

// roles looks for roles in the policies that the configuration grants to nobody. An operator may still
// mint any, so it is a warning, and none where the configuration grants no roles at all.
func (c *checker) roles(context.Context) error {
	if len(c.Granted) == 0 {
		return nil
	}
	n := &nameCheck{checker: c}
	for _, role := range c.Roles() {
		if !slices.Contains(c.Granted, role) {
			n.where("role-nobody-has", Warning, role, nil, fmt.Sprintf("the configuration grants nobody the role %q, and only an operator can mint it", role),
				policy.Near(role, c.Granted, "it grants"))
		}
	}
	return nil
}
