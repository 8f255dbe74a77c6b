// Package observe shows what the gateway does: OpenTelemetry traces and metrics, and the page that
// Prometheus reads. It stands beside the line and is told (gateway.Observer); nothing in it decides,
// and the line does not know it.
//
// What leaves by it is chosen in gateway.Seen: codes, known methods, names of the configuration and the
// catalogue, sizes and times. No argument, no result, no token and no subject reaches this package.
package observe
