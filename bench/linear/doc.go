// Package linear checks that the session store is linearizable: that every operation takes effect at one instant between
// its call and its return, also while parts of the deployment are killed. Workers run reads, writes, compare-and-set,
// touches, destroys, regenerations and leases against a few sessions through several sessiond; [Check] then looks for an order of
// the operations that a sequential model explains, with the checker porcupine.
//
// Against two sessiond on an NDB Cluster whose SQL nodes and data nodes are killed and started again:
//
//	go run ./bench/linear/lincheck -seeds 5
//
// # Unknown outcomes
//
// An operation that failed with ErrUnavailable or by its context may have taken effect, may do so at any time later, or
// never. In the history it returns at the end of time, and the model lets it take effect wherever it stands, or at the end,
// where nobody sees it. It never counts as not having happened.
//
// # What the model leaves out
//
// Time: idle time-outs, tombstones, grace times and leases last longer than a run. So that a run can be long and
// histories stay short enough for the checker, a session is replaced by a fresh one after some two hundred operations, soon
// after its destruction, and when too many outcomes on it are unknown.
//
// Each client knows one sessiond only. A client that goes on to the next sessiond repeats an operation whose outcome it
// does not know, and a write without a condition may then take effect twice; see package client.
//
// Whether "locked" was right is asked only of sessions whose leases nobody waits for and which are not regenerated: a
// waiter holds back those that come after it, and a lease may be that of a session's former key.
package linear
