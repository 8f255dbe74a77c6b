// Package workbench is what the writer of a policy works with: it tests policies, explains
// decisions, decides recorded ones again, compares two policies, and suggests one from what was used.
//
// It asks a [policy.Generation] and holds no engine of its own, so what it says is what the gateway
// would say. It knows neither gateway nor identity: records of a log reach it as plain structs.
// Commands and tests import it; the gateway does not.
package workbench
