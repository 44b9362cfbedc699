// Package resp serves a [sessionstore.Service] over the protocol of Redis, RESP2 and RESP3: the commands that clients of
// sessions send, with the answers and error texts that they know, on a store that survives the loss of a machine.
// docs/redis.md says what works and how keys map to sessions.
//
// It is no Redis. A value lives in a session's payload; DEL of a session leaves a tombstone; a key that ends in _LOCK is
// the lease of the session it is named after; the names of keys are not stored and cannot be listed, only stand-ins.
package resp
