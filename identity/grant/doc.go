// Package grant keeps what may be done for a task: grants, the counters of what was used of
// them, and the means to end them at once.
//
// A token is a reference; the grant that it names is the authority. A [Registry] holds every
// grant in memory, so that each request can ask for its own, and a [Store] makes changes
// durable and tells of those that others made. A grant can have children, which can do no
// more than it: creation refuses what is plainly wider, and tools, constraints, calls and
// times are enforced at every level of the chain whatever a child says. What a grant ends,
// ends for its children too, and the contexts bound to it are cancelled before the store is
// asked.
//
// The package knows neither tokens nor policies and decides nothing about who may have a
// grant; that is package mint. It imports internal/strictjson, bbolt and the standard
// library only. The gateway, package mint and the commands may import it.
package grant
