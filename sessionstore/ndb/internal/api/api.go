// Package api reaches the data nodes of MySQL NDB Cluster by the NDB API, as one of the cluster's own API nodes. It is a thin
// layer: rows and operations as the shim in C++ has them, and a worker that runs them. What they mean is package ndb's matter.
//
// It needs cgo, libndbclient and the build tag ndbapi. Without the tag there is nothing but [ErrNotBuilt].
package api

import (
	"errors"
	"fmt"
	"unsafe"
)

// ErrNotBuilt says that the program was built without the tag ndbapi.
var ErrNotBuilt = errors.New("this program was built without the tag ndbapi, so it knows no NDB API; build it with: make build-ndbapi")

// Sizes of the shim's.
const (
	Slots   = 64     // operations of a worker
	payload = 29_000 // bytes in session.payload and chunk.data
)

// Numbers of errors that the store tells apart. The first two are our own, of operations whose guards refuse a row.
const (
	Refused      = 6000
	LeaseRefused = 6001
	NoRow        = 626
	Duplicate    = 630
)

// Status is what NDB says of an error. Source: storage/ndb/include/ndbapi/NdbError.hpp.
type Status int32

// Statuses.
const (
	Success Status = iota
	Temporary
	Permanent
	Unknown // whether the transaction took effect
)

// Error is an error of the NDB API.
type Error struct {
	Code   int
	Status Status
	Text   string // what was being done, and NDB's words
}

func (e *Error) Error() string { return e.Text }

// Is tells whether an error has the number.
func Is(err error, code int) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}

// Text is a VARBINARY of up to 32 bytes: their number, and they.
type Text [33]byte

// Bytes are the text's, in place.
func (t *Text) Bytes() []byte { return t[1 : 1+min(int(t[0]), len(t)-1)] }

// Set sets the text.
func (t *Text) Set(b []byte) { t[0] = byte(copy(t[1:], b)) }

// Session is a row of session.
type Session struct {
	ID                         [32]byte
	Version, Stamp             uint64
	Created, Expires, Deadline int64
	Due                        uint32
	Chunks                     uint16
	State, Encoding            uint8
	Target, Subject            Text
	namespace                  [65]byte
	size                       uint16
	payload                    [payload]byte
}

// Payload is the row's, in place.
func (s *Session) Payload() []byte { return s.payload[:min(int(s.size), payload)] }

// SetPayload sets the payload, of which there must be room for.
func (s *Session) SetPayload(b []byte) { s.size = uint16(copy(s.payload[:], b)) }

// Namespace returns a copy of the row's.
func (s *Session) Namespace() string {
	return string(s.namespace[1 : 1+min(int(s.namespace[0]), len(s.namespace)-1)])
}

// SetNamespace sets the namespace.
func (s *Session) SetNamespace(ns string) { s.namespace[0] = byte(copy(s.namespace[1:], ns)) }

// Chunk is a row of chunk.
type Chunk struct {
	ID      [32]byte
	Version uint64
	Seq     uint16
	size    uint16
	data    [payload]byte
}

// Data is the chunk's, in place.
func (c *Chunk) Data() []byte { return c.data[:min(int(c.size), payload)] }

// SetData sets the data.
func (c *Chunk) SetData(b []byte) { c.size = uint16(copy(c.data[:], b)) }

// Subject is a row of subject.
type Subject struct{ Subject, ID [32]byte }

// Lease is a row of lease.
type Lease struct {
	ID                  [32]byte
	Token, Stamp, Owner uint64
	Ends                int64
	Due                 uint32
}

// Version is a row of schema_version.
type Version struct {
	Version uint32
	engine  [17]byte
	Store   [16]byte
}

// Engine returns a copy of the row's.
func (v *Version) Engine() string { return string(v.engine[1 : 1+min(int(v.engine[0]), 16)]) }

// Table is one of the schema's.
type Table int32

// Tables.
const (
	Sessions Table = iota
	Chunks
	Subjects
	Leases
	Versions
)

// Kind is what an operation of a batch does.
type Kind uint8

// Kinds.
const (
	Insert      Kind = iota + 1 // the row
	Update                      // the row, as Guards and Set say, and the lease, as Lease says
	LeaseInsert                 // the lock
	LeaseTake                   // put the lock in the place of one that ended by Now and has a smaller token
	LeaseEnd                    // end the lease with Token
)

// Guards of an Update: what must be so of the row that is there.
const (
	IsLive     = 1 << iota // a session that expires after Now
	IsVersion              // it is at Version
	IsWhole                // it has no chunks
	InTime                 // it has no deadline, or none before the new expiry
	OfSubject              // it names the same subject as the new row
	IsSession              // it is a session, expired or not
	AtDeadline             // it has the same deadline as the new row
)

// Set is which columns an Update sets.
type Set uint8

// Sets.
const (
	Written Set = iota + 1 // ver, stamp, enc, expires, due, payload
	Touched                // expires, due
	Buried                 // what a tombstone has otherwise than the session
)

// OnLease is what an Update does to the lease with Token, which must not have ended by EndsAfter.
type OnLease uint8

// What is done to a lease.
const (
	Left OnLease = iota
	Held         // it stays; its stamp is set to lock the row
	Ends
)

// Op is a slot of a worker: an operation of a batch, or a row of a transaction.
type Op struct {
	Kind      Kind
	Set       Set
	Lease     OnLease
	_         uint8
	Guards    uint32
	Version   uint64
	Now       int64
	Token     uint64
	EndsAfter int64
	Code      int32 // of the outcome
	Status    Status
	Lock      Lease
	Row       Session
}

// Reading is what a batch of reads reads.
type Reading int32

// Readings.
const (
	WholeRows Reading = iota // of session, by the ids of the slots' Row
	RowHeads                 // the same without payloads
	LeaseRows                // of lease, by the ids of the slots' Lock
)

// Mode is how a transaction reads a row.
type Mode int32

// Modes.
const (
	Committed Mode = iota
	Exclusive      // and locks it until the transaction ends
)

// Change is what a transaction does to a row.
type Change int32

// Changes.
const (
	PutInsert Change = iota
	PutUpdate
	PutDelete
)

// Flags of a scan.
const (
	Low = 1 << iota // there is a lower bound, in slot 1
	LowInclusive
	High // there is an upper bound, in slot 2
	HighInclusive
	Ordered    // by the index
	Heads      // without payloads
	WholeTable // not by the index
	OneColumn  // the upper bound is of the index's first column only
)

// Options say how to connect.
type Options struct {
	Nodes   string // management nodes, HOST:PORT, separated by commas
	Name    string // how the cluster's log calls us
	Seconds int    // to wait for a node, each
}

// Cluster is a connection to a cluster. It finds nodes again that failed and came back.
type Cluster interface {
	// Worker opens the tables of a database.
	Worker(database string) (Worker, error)
	Close() // once all workers are closed
}

// Worker runs batches and transactions, one at a time: it belongs to one goroutine at a time. Its slots are the shim's memory.
type Worker interface {
	Ops() *[Slots]Op

	// Read reads the rows of the first n slots' ids as they are committed, in one round trip. Each has its own Code.
	Read(n int, what Reading)
	// Change runs the operations of the first n slots, each in a transaction of its own. Each has its own Code.
	Change(n int)
	// Describe returns the error of an operation's outcome.
	Describe(o *Op) error

	// Begin begins a transaction, best on the node that has a key.
	Begin(id *[32]byte) error
	// Get reads the row of a table by the key in a slot. The error is NoRow if there is none.
	Get(t Table, slot int, mode Mode, heads bool) error
	// GetChunks reads n chunks to the slots from 1 on, of the id and version in slot 0.
	GetChunks(n int) error
	// Put stages a change of the row in a slot, which may then be used anew. What fails, fails in Commit.
	Put(t Table, slot int, c Change) error
	Commit() error
	Rollback()

	// Scan gives one row after the other in slot 0, as they are committed, while each returns true.
	Scan(t Table, flags int, each func() bool) error

	// Close releases the worker. If it is stale, what is known of the tables is forgotten too.
	Close(stale bool)
}

// Chunk is the slot as a row of chunk, which lies where Row does.
func (o *Op) Chunk() *Chunk { return (*Chunk)(unsafe.Pointer(&o.Row)) }

// SubjectRow is the slot as a row of subject, which lies where Row does.
func (o *Op) SubjectRow() *Subject { return (*Subject)(unsafe.Pointer(&o.Row)) }

// VersionRow is the slot as a row of schema_version, which lies where Row does.
func (o *Op) VersionRow() *Version { return (*Version)(unsafe.Pointer(&o.Row)) }

func (s Status) String() string {
	if n := int(s); n >= 0 && n < 4 {
		return [...]string{"success", "temporary error", "permanent error", "unknown result"}[n]
	}
	return fmt.Sprintf("status %d", int32(s))
}
