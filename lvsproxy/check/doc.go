// Package check finds out whether a real server is alive, as ldirectord does: by a negotiate check (a request whose
// answer must match a pattern), by a connect check, by both in turn, or not at all.
//
// A [Spec] is all that a check depends on, as comparable data: two real servers with equal Specs need one check. A
// [Checker] is the one goroutine that runs it and reports every result. It counts failures and successes in a row, so
// that what it reports as the server's [State] changes only after as many as the Spec says.
package check
