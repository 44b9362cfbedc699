package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

// lease is the latest lock of a key. The zero lease stands for none.
type lease struct {
	token   uint64
	owner   uint64
	until   int64 // Unix milliseconds; 0 once it was released
	indexed int64 // the time of its index entry
}

// holds reports whether the token is of this lease, and that was not released. Who comes late, but within the retention
// time, may still write if nobody took the session since.
func (l *lease) holds(token uint64, now int64) bool {
	return l.token == token && l.until != 0 && now < l.end()
}

func (l *lease) granted() sessionstore.Lease {
	return sessionstore.Lease{Token: l.token, Owner: l.owner, Until: time.UnixMilli(l.until)}
}

// end is when nobody needs the lease any more.
func (l *lease) end() int64 {
	if l.until == 0 {
		return l.indexed
	}
	return l.until + sessionstore.LeaseRetention.Milliseconds()
}

const leaseSize = 4 * 8

func (l *lease) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, l.token)
	b = binary.BigEndian.AppendUint64(b, l.owner)
	b = binary.BigEndian.AppendUint64(b, uint64(l.until))
	return binary.BigEndian.AppendUint64(b, uint64(l.indexed))
}

func (l *lease) decode(b []byte) error {
	if len(b) != leaseSize {
		return fmt.Errorf("a lease of %d bytes", len(b))
	}
	*l = lease{
		token:   binary.BigEndian.Uint64(b),
		owner:   binary.BigEndian.Uint64(b[8:]),
		until:   int64(binary.BigEndian.Uint64(b[16:])),
		indexed: int64(binary.BigEndian.Uint64(b[24:])),
	}
	return l.check()
}

// check reports what cannot be in a lease.
func (l *lease) check() error {
	switch {
	case l.token == 0:
		return errors.New("a lease without a token")
	case l.indexed > l.end():
		return errors.New("a lease with an index entry after the time of collection")
	}
	return nil
}
