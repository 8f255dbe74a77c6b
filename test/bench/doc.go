// Command bench measures what the gateway costs beside its alternatives, in one run on one
// machine: no proxy, a tuned httputil.ReverseProxy, nginx, and the gateway with everything on
// (token, schema, Rego, durable record), all before the same MCP server and under the same
// load. `make bench` runs it; BENCH_JSON=FILE also writes the numbers.
//
// Every program under test is a process of its own, so that its CPU time and memory can be
// read from /proc. Rounds are interleaved (A B C D, A B C D, …), the figures are medians over
// the rounds and the ratios are medians of the ratios within a round, since a shared machine
// drifts. The load is a closed loop of 16 callers on kept connections, each writing one
// rendered request and reading one reply, which is checked for status, id and length. Load,
// proxy and server share the machine's cores, so ratios of throughput understate what a proxy
// on a machine of its own would reach; CPU per call does not.
//
// It is a program, not a package: nothing imports it.
package main
