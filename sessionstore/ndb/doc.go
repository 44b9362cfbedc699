// Package ndb keeps sessions in SQL tables: in MySQL NDB Cluster, and by the same code in InnoDB on MySQL and MariaDB.
//
// It knows several SQL nodes of one cluster, with a pool of connections for each, sends every operation to a healthy one
// with little to do, and repeats on another what failed with a node, if it is certain that the operation takes effect
// once: every write leaves a random stamp with the version it made, so that a repeated write recognises itself.
//
// Nearly every operation is one guarded statement, or one statement for all that came while others were in flight: see
// package lane for how operations gather, batch.go and change.go for what becomes of them. What that cannot decide
// (aliases, leases, remains of expired sessions, payloads over 29,000 bytes) is decided in a transaction that locks the
// session's row: see record.go for the decisions, which know no SQL, and rows.go for the SQL, which knows no decisions.
//
// # Caveats
//
// Several DSNs are for the SQL nodes of one NDB Cluster. InnoDB servers that replicate asynchronously are no such thing:
// a session would be lost with the server, or read in an old state.
//
// A statement that hangs in an SQL node past the read time-out is repeated elsewhere, and may still take effect later.
// Writes are guarded by the version, so that such a ghost changes nothing; a touch that comes late may move an expiry
// back to where it was when the touch was made.
package ndb
