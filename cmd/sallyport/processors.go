package main

import "runtime"

// onePlaceForTheDisk lets the runtime have one thread more at work than there are processors. The
// record's writer waits for the disk most of the time and keeps its place until the runtime takes it
// away, which on two processors stops half of all other work for a while at each sync. GOMAXPROCS, where
// set, is the operator's word. The number is that of the start: the runtime's own following of a
// container's bound ends with it.
func onePlaceForTheDisk(env map[string]string) {
	if _, set := env["GOMAXPROCS"]; set {
		return
	}
	runtime.SetDefaultGOMAXPROCS() // so that twice in one process is once
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
}
