// Package config turns one YAML file and the environment into a running gateway.
//
// It has three parts. Load reads and checks: what it does not know it refuses by line and name,
// and it reports everything wrong at once. Open builds the parts that a [Config] names, state
// directory, keys, record, policy and servers, and installs them as one snapshot. Run watches
// what the snapshot was made from and builds the next one beside it; one that fails is
// reported and never installed.
//
// The package decides nothing about a request. It imports all rooms of the gateway;
// cmd/sallyport imports it. The comments on the fields of Config are the manual: gendocs
// writes docs/configuration.md from them.
package config

//go:generate go run ./gendocs -o ../../docs/configuration.md
