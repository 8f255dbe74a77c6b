//go:build linux && !amd64

package main

var archSpecific = map[string]attempt{}
