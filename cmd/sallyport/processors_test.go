package main

import (
	"runtime"
	"testing"
)

func TestOneThreadIsForTheDisk(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	runtime.SetDefaultGOMAXPROCS()
	usual := runtime.GOMAXPROCS(0)
	for range 2 {
		onePlaceForTheDisk(nil)
		if got := runtime.GOMAXPROCS(0); got != usual+1 {
			t.Errorf("GOMAXPROCS %d; want one more than %d", got, usual)
		}
	}
	runtime.GOMAXPROCS(usual + 4)
	onePlaceForTheDisk(map[string]string{"GOMAXPROCS": "6"})
	if got := runtime.GOMAXPROCS(0); got != usual+4 {
		t.Errorf("GOMAXPROCS %d where the operator has set it; want %d", got, usual+4)
	}
}
