// Package deploy holds what examples/deploy offers to the tools that would use it: the chart is
// rendered by helm, its objects are checked against the schemas of several Kubernetes versions, what it
// configures is run by the real gateway in a directory that looks as a container does, and the unit is
// read by systemd.
package deploy
