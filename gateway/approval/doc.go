// Package approval keeps the calls that wait for a person.
//
// A ticket is for exactly one call: the server, the tool, the arguments, who makes it under which
// grant, and the policy that asked. A person who is somebody else than the one it is made for
// approves or denies it; the next call that is the same takes the approval, which counts once.
// Tickets live in memory and lapse: a restart forgets them, and the call asks again.
//
// Package gateway asks, gateway/admin shows and decides; it imports nothing of ours.
package approval
