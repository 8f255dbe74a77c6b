package freeport

import (
	"net"
	"testing"
)

// No two have the same, a taken port is nobody's, and a program may listen at what it was given.
func TestReservedAddressesAreFreeAndDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 200 {
		address, release, err := Reserve()
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		if seen[address] {
			t.Errorf("%s was given out twice", address)
		}
		seen[address] = true
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatalf("a program at its address: %v", err)
		}
		defer l.Close()
	}
}

// A mark stands until it is released.
func TestReleaseGivesTheAddressBack(t *testing.T) {
	address, release, err := Reserve()
	if err != nil {
		t.Fatal(err)
	}
	if mark, err := net.ListenPacket("udp", address); err == nil {
		_ = mark.Close()
		t.Errorf("%s has no mark", address)
	}
	release()
	mark, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Fatalf("%s is marked after its release: %v", address, err)
	}
	_ = mark.Close()
}
