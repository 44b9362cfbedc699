// Package embedded keeps sessions on the disk of one machine, in the process that serves them. It is what a sessiond
// uses unless it is told otherwise: no database, one folder.
//
// It keeps every promise of [sessionstore.Store]. A change is acknowledged once it is synced to disk, so that neither
// kill -9 nor a loss of power takes it back. Changes that wait while others are being synced go to disk together, in one
// commit; no timer is involved, so a lone change does not wait for company. Reads never wait for changes, and never show
// one that is not yet on disk. Leases alone are acknowledged earlier: a crash may take one back,
// and its token then counts as overtaken. [Options].SyncEvery trades these promises for speed.
//
// # Layout
//
// Records lie in a Pebble store, an LSM tree. docs/dependencies.md says why. Its own log is off: a change is durable by a
// journal of the store's, in the folder journal, from which a restart after a crash brings Pebble up to date. A session is two records, a short one with
// its version and times and another one with its payload, so that a touch rewrites no payload. An index orders the
// sessions by the time at which they can be collected; a touch leaves its entry where it is, and the collector moves it
// when its time has come, so that a touch costs no index change either. Expiry itself is exact to the millisecond.
// Leases are records with an index of their own.
//
// # Caveats
//
// One process at a time can open a folder; a second one is told so.
//
// When the disk has less room than [Options].MinFree, writes, touches and locks are refused with an
// [sessionstore.UnavailableError], while reads, destroys and collection go on. If the disk fills up nonetheless, changes
// are refused until there is room; nothing that was acknowledged is lost.
//
// An error of the disk other than that ends the process when it hits the engine's own bookkeeping: what is on disk then
// cannot be known, and a restart finds out.
package embedded
