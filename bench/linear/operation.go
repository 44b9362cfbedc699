package linear

import (
	"fmt"
	"strings"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

// Kind says what an operation does.
type Kind uint8

// The operations of a history.
const (
	Read Kind = iota
	Write
	Touch
	Destroy
	Lock
	Unlock
	Regenerate
)

var kindNames = [...]string{"read", "write", "touch", "destroy", "lock", "unlock", "regenerate"}

func (k Kind) String() string { return kindNames[k] }

// Operation is what a worker asked for.
type Operation struct {
	Kind    Kind
	Session string // name of the session in the history, the same for all its ids
	// IfVersion and Payload are of a write; the payload is one of [payloadFor], by its number.
	IfVersion uint64
	Payload   uint64
	// Token is of the lease that a write, a regeneration or an unlock names, or that a touch ends; 0 for none. An unlock may
	// also name a lease whose token nobody knows, see [unknownToken].
	Token uint64
	// Release has a write end its lease.
	Release bool
	// Create is of a touch.
	Create bool
	// Strict is of a lock: being refused must have a reason that the history shows.
	Strict bool
}

func (o Operation) String() string {
	var b strings.Builder
	b.WriteString(o.Kind.String())
	if o.Kind == Write {
		switch o.IfVersion {
		case sessionstore.AnyVersion:
			fmt.Fprintf(&b, " #%d", o.Payload)
		case 0:
			fmt.Fprintf(&b, " #%d as new", o.Payload)
		default:
			fmt.Fprintf(&b, " #%d over version %d", o.Payload, o.IfVersion)
		}
	}
	if o.Create {
		b.WriteString(" or create")
	}
	switch {
	case o.Token == 0:
	case o.Release || o.Kind == Touch:
		b.WriteString(" ending " + tokenName(o.Token))
	default:
		b.WriteString(" under " + tokenName(o.Token))
	}
	return b.String()
}

// Class is what came of an operation.
type Class uint8

// OK and the contract's errors; Unknown stands for [sessionstore.ErrUnavailable] and the errors of contexts.
const (
	OK Class = iota
	NotFound
	Conflict
	Locked
	Destroyed
	Unknown
)

var classNames = [...]string{"ok", "not found", "conflict", "locked", "destroyed", "unknown"}

func (c Class) String() string { return classNames[c] }

// Outcome is what an operation returned.
type Outcome struct {
	Class   Class
	Version uint64 // of a read, write or regeneration
	Payload uint64 // of a read or regeneration; [torn] if it is none that was ever written
	Token   uint64 // of a lock
}

// describe says what the operation came to.
func (o Outcome) describe(k Kind) string {
	if o.Class != OK {
		return o.Class.String()
	}
	switch k {
	case Read, Regenerate:
		if o.Payload == torn {
			return fmt.Sprintf("version %d, a payload that nobody wrote", o.Version)
		}
		return fmt.Sprintf("version %d, #%d", o.Version, o.Payload)
	case Write:
		return fmt.Sprintf("version %d", o.Version)
	case Lock:
		return tokenName(o.Token)
	}
	return "ok"
}

// Entry is one operation of a history with its outcome.
type Entry struct {
	Operation
	Outcome
	Worker int
	// Call and Return are since the begin of the run; an operation of unknown outcome returns at [never].
	Call, Return time.Duration
}

// never is when an operation of unknown outcome returns.
const never = time.Duration(1<<63 - 1)

func (e Entry) String() string {
	end := "…"
	if e.Return != never {
		end = fmt.Sprintf("%.6f", e.Return.Seconds())
	}
	return fmt.Sprintf("%.6f–%-10s worker %-2d  %s → %s", e.Call.Seconds(), end, e.Worker, e.Operation, e.describe(e.Kind))
}

// unknownToken names the lease that the n-th operation of unknown outcome may have taken. No store gives such a token.
func unknownToken(n uint64) uint64 { return 1<<63 | n }

func tokenName(token uint64) string {
	if token>>63 == 1 {
		return fmt.Sprintf("the lease of unknown outcome %d", token&^(1<<63))
	}
	return fmt.Sprintf("lease %d", token)
}
