// Command engines measures Go storage engines on the workload of a session store: payloads of 2 KB, half reads and half
// writes, 64 clients, every acknowledged write synced to disk. It is a module of its own, so that the engines that
// lost stay out of the product's dependencies.
//
// Each engine gets the same treatment: a committer gathers the writes that wait while the previous commit is in flight
// and hands them to the engine as one synced, atomic commit; no timer is involved. Reads go straight to the engine.
// Engines take turns within each round and only one is open at a time, so that whatever else the machine does spreads
// over all of them. Payloads are random bytes, so that no engine gains by compression.
//
// Figures and the decision that they led to stand in docs/dependencies.md.
package main
