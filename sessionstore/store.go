package sessionstore

import (
	"context"
	"math"
	"time"
)

// AnyVersion as [Write].IfVersion asks for last-writer-wins.
const AnyVersion uint64 = math.MaxUint64

// MaxPayload is the largest payload that every store takes, in bytes. What a deployment allows is the policy's matter,
// see [Policy].MaxPayload.
const MaxPayload = 1 << 20

// MaxAliasHops is how many aliases a store follows before it answers [ErrNotFound]: how often a session can be
// regenerated within one grace time.
const MaxAliasHops = 8

// LeaseRetention is how long a lease counts after its end: its holder, if nobody took the session since, may still finish
// its write.
const LeaseRetention = time.Hour

// MaxDuration is the longest time-out, tombstone, grace time or lease: 400 days, as long as browsers keep a cookie.
const MaxDuration = 400 * 24 * time.Hour

// Session is one session as a store holds it. Times have millisecond resolution.
type Session struct {
	// Key is where the session lives. It differs from the key asked for when that one is an alias, left by Regenerate.
	Key Key
	// Payload is the application's, opaque. The caller owns it.
	Payload []byte
	// Version is 1 for the first write and grows by one with every further one. Touch and Regenerate leave it alone.
	Version uint64
	// Created is when the session was first written.
	Created time.Time
	// Expires is the instant from which on the session is not found: the idle time-out, or the deadline if that comes
	// first.
	Expires time.Time
	// Deadline is the absolute time-out, which no write or touch moves. The zero time means none.
	Deadline time.Time
	// Namespace is the one that the session was created in; "" if its creator named none.
	Namespace string
	// Subject is whose session it is, see [NewSubject]; the zero key if nobody said.
	Subject Key
	// Encoding is that of the payload, as its writer named it.
	Encoding Encoding
}

// Encoding tells how a stored payload is encoded. Stores keep it with the payload and do nothing about it.
type Encoding uint8

// Encodings in use.
const (
	Plain Encoding = 0
	Zstd  Encoding = 1
)

// Write is what to store, and on what condition.
type Write struct {
	// Payload replaces the session's payload. At most [MaxPayload] bytes; nil and empty are the same. The store does
	// not keep the slice.
	Payload []byte
	// Idle is how long after now the session expires, at least 1 ms.
	Idle time.Duration
	// Absolute is how long after its creation the session ends whatever happens; 0 means never. It counts only for the
	// write that creates the session.
	Absolute time.Duration
	// IfVersion is the version that the session must have: the one that was read. 0 means that there must be no such
	// session, and [AnyVersion] that it does not matter.
	IfVersion uint64
	// Token, if not 0, is the fencing token of the lease under which the write is made: unless that lease is still the
	// session's latest, the write is refused with ErrConflict. A lease that ran out but that nobody took since still
	// counts, for LeaseRetention after its end.
	Token uint64
	// Release ends the lease in Token in the same step, as Unlock would. A write that is refused releases nothing.
	Release bool
	// Namespace is kept with the session so that an operator can tell whose sessions there are; it has no part in the
	// key. "" or a name that [CheckNamespace] accepts. It counts only for the write that creates the session.
	Namespace string
	// Subject is whose session it is from now on, see [NewSubject]. The zero key leaves that as it is: a session, once
	// a user's, is found under that user until a write names another or the session ends.
	Subject Key
	// Encoding is that of the payload.
	Encoding Encoding
}

// Touch moves a session's expiry.
type Touch struct {
	// Idle is how long after now the session expires, at least 1 ms.
	Idle time.Duration
	// Create makes the touch of a session that is not found write an empty one, as [Write] with IfVersion 0 would,
	// instead of failing: PHP ≥ 8.6 touches where it wrote before.
	Create bool
	// Absolute and Namespace are as in [Write], for a session that Create makes.
	Absolute  time.Duration
	Namespace string
	// Coarse is how much earlier than asked the store may let the session expire: if it is to expire within that time
	// before the wanted instant anyway, nothing need be written. 0 asks for the exact instant; at most half of Idle.
	Coarse time.Duration
	// Release, if not 0, is the token of a lease that ends in the same step, as by Unlock of the session's own key and of
	// the one given: if it is the latest of neither, nothing happens to it. A touch that is refused releases nothing; one that has nothing to move, because it is
	// coarse, may end the lease a moment after it looked.
	Release uint64
}

// Lock is how to take a lease.
type Lock struct {
	// TTL is when the lease ends by itself, at least 1 ms.
	TTL time.Duration
	// Owner is a mark of whoever takes the lease, kept with it and told by [Store].Leased; 0 for none. It proves
	// nothing: what counts is the token.
	Owner uint64
}

// Lease is a lock with an end.
type Lease struct {
	// Token is the fencing token: never 0, and different from the token of any other lease of the same session.
	Token uint64
	// Owner is the mark that the lease was taken with.
	Owner uint64
	// Until is when the lease ends by itself.
	Until time.Time
}

// Store keeps sessions by key. All methods may be called concurrently, and each of them takes effect at one instant
// between call and return (it is linearizable), also when several processes share the store.
//
// Every method resolves aliases: a key that [Store.Regenerate] left behind stands for the session it leads to, for as
// long as its grace time lasts. The one exception is Lock and Unlock, which take the key literally; whoever locks must
// lock [Session].Key.
//
// A method whose context ends returns soon with the context's error; whether a change took effect is then unknown.
// Otherwise errors are as package variables say; where a method's comment names none, only [ErrUnavailable] can happen.
type Store interface {
	// Read returns the session as the latest acknowledged write or touch left it. It returns [ErrNotFound] for a
	// session that does not exist, that has expired, collected or not, or that was destroyed.
	Read(ctx context.Context, key Key) (Session, error)

	// Write stores a payload and returns the session's new version. It returns once the store has committed: an
	// acknowledged write is lost only with the store itself.
	//
	// Errors: [ErrConflict] if the session is at another version than IfVersion, or IfVersion is 0 and it exists, or
	// the token is not of its latest lease; [ErrNotFound] if IfVersion names a version and the session does not exist
	// or has expired; [ErrDestroyed] if it was destroyed and its tombstone still stands; [ErrTooLarge];
	// [ErrInvalid] for an Idle, Absolute or Namespace out of range.
	//
	// A session created where the remains of an expired one still lie continues its versions, so that a version never
	// means two payloads.
	Write(ctx context.Context, key Key, w Write) (version uint64, err error)

	// Touch moves the expiry and rewrites nothing else.
	//
	// Errors: [ErrNotFound] if the session does not exist or has expired and Create is not set; [ErrDestroyed];
	// [ErrInvalid].
	Touch(ctx context.Context, key Key, t Touch) error

	// Destroy ends a session and leaves a tombstone for the given time, at least 1 ms, so that a request still in
	// flight cannot resurrect it. Destroying what does not exist leaves a tombstone all the same, and destroying
	// again moves its end: the method is idempotent.
	Destroy(ctx context.Context, key Key, tombstone time.Duration) error

	// Regenerate moves the session from old to new in one step: all that [Session] holds is kept but the key, and old
	// becomes an alias of new for the grace time; after it, old counts as destroyed for the tombstone time. A grace of 0
	// makes old a tombstone at once. If token is not 0 it must be that of old's latest lease, and the lease moves along,
	// with its owner.
	//
	// Errors: [ErrNotFound], [ErrDestroyed] for old; [ErrConflict] if there is something under new, or for the token.
	Regenerate(ctx context.Context, old, new Key, r Regenerate) (Session, error)

	// Lock takes the session's lease, or fails at once with a [LockedError] if there is one that has not ended, whoever
	// owns it. It never waits; there need be no session under the key. Errors: also [ErrInvalid].
	Lock(ctx context.Context, key Key, l Lock) (Lease, error)

	// Leased returns the key's lease, or [ErrNotFound] if there is none that has not ended.
	Leased(ctx context.Context, key Key) (Lease, error)

	// Unlock ends the lease with this token. If it is not the key's latest lease any more, Unlock does nothing.
	Unlock(ctx context.Context, key Key, token uint64) error

	// GC removes up to limit records that no operation can see any more: expired sessions, ended aliases and
	// tombstones, leases long over. It returns how many it removed; fewer than limit means that nothing more is due.
	// Deployments run it on one sessiond at a time, yet it is safe anywhere at any time.
	GC(ctx context.Context, limit int) (removed int, err error)

	// Ping reports whether the store could serve a request now.
	Ping(ctx context.Context) error

	// Close ends all work and releases what the store holds. No method may be called afterwards.
	Close() error
}

// Regenerate says how long the old key of a regenerated session stands for the new one, and how long after that it
// counts as destroyed.
type Regenerate struct {
	Grace     time.Duration // ≥ 0
	Tombstone time.Duration // ≥ 1 ms
	Token     uint64        // fencing token, or 0
}

// Passer is a [Store] in which a lease can go from its holder to the next one in a single step, between which and the end
// of the holder's turn nobody else comes.
type Passer interface {
	// Pass makes the last change under a lease, if there is one to make, and gives the lease to the next holder. The key
	// is taken literally, as by Lock.
	//
	// Errors: those of Write and Touch, and then nothing has changed. A Pass of unknown outcome may have left a lease that
	// nobody holds, as a Lock of unknown outcome may.
	Pass(ctx context.Context, key Key, p Pass) (Passed, error)
}

// Pass is the end of a holder's turn while another waits for the lease.
type Pass struct {
	Token uint64 // of the lease
	Write *Write // made as with this token and Release; nil for none
	Touch *Touch // made as with this token for Release; nil for none, and not together with Write
	Next  Lock   // of whoever waits
}

// Change returns the write or touch to make, with the token and the release that a pass implies; nil where there is none.
func (p Pass) Change() (w *Write, t *Touch) {
	if p.Write != nil {
		own := *p.Write
		own.Token, own.Release = p.Token, true
		w = &own
	}
	if p.Touch != nil {
		own := *p.Touch
		own.Release = p.Token
		t = &own
	}
	return w, t
}

// Passed is what came of a pass.
type Passed struct {
	// Version is the one that the write made.
	Version uint64
	// Expires is when the session expires after the write or touch, unless its deadline comes first.
	Expires time.Time
	// Next is as Lock would give it, with a token greater than the one before. It is the zero lease if the store could do
	// no more than end the lease, or if that was not the key's latest any more; then whoever is next must lock.
	Next Lease
}

// Checker is a [Store] that can verify its own records: indexes that match, no chunk without its session, no session
// that outlives its deadline. Package storetest calls it after every test.
type Checker interface {
	Check(ctx context.Context) error
}

// Clock tells a store the time. Tests set it; everyone else uses [time.Now].
type Clock func() time.Time
