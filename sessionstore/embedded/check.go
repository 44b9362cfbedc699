package embedded

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/lvsession/lvsession/sessionstore"
)

// Check implements [sessionstore.Checker]. It reads everything as of one instant: each record has exactly one index
// entry, where it says, and each entry a record; each payload is that of its session; no record is one that no operation
// could have left.
func (s *Store) Check(ctx context.Context) error {
	leave, err := s.enter(ctx, "check")
	if err != nil {
		return err
	}
	defer leave()
	snapshot := s.db.NewSnapshot()
	defer snapshot.Close()
	c := checker{ctx: ctx, db: snapshot}
	for _, part := range []struct {
		prefix byte
		check  func(key, value []byte) error
	}{
		{sessionPrefix, c.session},
		{payloadPrefix, c.payload},
		{leasePrefix, c.lease},
		{sessionIndexPrefix, c.sessionEntry},
		{subjectPrefix, c.subjectEntry},
		{leaseIndexPrefix, c.leaseEntry},
	} {
		if err := c.each(part.prefix, part.check); err != nil {
			return s.unavailable("check", err)
		}
	}
	return errors.Join(c.faults...)
}

// maxFaults bounds what a check reports.
const maxFaults = 20

type checker struct {
	ctx    context.Context
	db     *pebble.Snapshot
	faults []error
}

// each runs a check over all records of a prefix.
func (c *checker) each(prefix byte, check func(key, value []byte) error) error {
	it, err := c.db.NewIterWithContext(c.ctx, &pebble.IterOptions{LowerBound: []byte{prefix}, UpperBound: []byte{prefix + 1}})
	if err != nil {
		return err
	}
	for valid := it.First(); valid && len(c.faults) < maxFaults; valid = it.Next() {
		if err := c.ctx.Err(); err != nil {
			return errors.Join(err, it.Close())
		}
		if err := check(it.Key(), it.Value()); err != nil {
			c.faults = append(c.faults, err)
		}
	}
	return it.Close()
}

// sessionKey takes the prefix off an engine key.
func sessionKey(k []byte) (key sessionstore.Key, err error) {
	if len(k) != keySize {
		return key, fmt.Errorf("a key of %d bytes", len(k))
	}
	copy(key[:], k[1:])
	return key, nil
}

func (c *checker) session(k, value []byte) error {
	key, err := sessionKey(k)
	if err != nil {
		return err
	}
	var r record
	if err := r.decode(value); err != nil {
		return fmt.Errorf("session %v: %w", key, err)
	}
	if _, err := readPayload(c.db, key, &r); err != nil {
		return err
	}
	if r.subject != (sessionstore.Key{}) {
		k := makeSubjectKey(r.subject, key)
		if err := c.has(k[:]); err != nil {
			return fmt.Errorf("entry of %v under its subject: %w", key, err)
		}
	}
	return c.hasEntry(sessionIndexPrefix, r.indexed, key)
}

func (c *checker) payload(k, value []byte) error {
	key, err := sessionKey(k)
	if err != nil {
		return err
	}
	var r record
	if err := readRecord(c.db, key, &r); err != nil {
		return err
	}
	if !r.owns(value) || r.size == 0 {
		return fmt.Errorf("payload %v: %w", key, errTorn)
	}
	return nil
}

func (c *checker) lease(k, value []byte) error {
	key, err := sessionKey(k)
	if err != nil {
		return err
	}
	var l lease
	if err := l.decode(value); err != nil {
		return fmt.Errorf("lease %v: %w", key, err)
	}
	return c.hasEntry(leaseIndexPrefix, l.indexed, key)
}

func (c *checker) hasEntry(index byte, at int64, key sessionstore.Key) error {
	k := makeIndexKey(index, at, key)
	if err := c.has(k[:]); err != nil {
		return fmt.Errorf("index entry %c of %v: %w", index, key, err)
	}
	return nil
}

func (c *checker) has(k []byte) error {
	_, done, err := c.db.Get(k)
	if err != nil {
		return err
	}
	return done.Close()
}

// subjectEntry verifies that what an entry under a subject leads to has that subject.
func (c *checker) subjectEntry(k, _ []byte) error {
	subject, key, ok := splitSubjectKey(k)
	if !ok {
		return fmt.Errorf("a subject's entry of %d bytes", len(k))
	}
	var r record
	if err := readRecord(c.db, key, &r); err != nil {
		return err
	}
	if r.subject != subject {
		return fmt.Errorf("%v is listed under the subject %v, but is that of %v", key, subject, r.subject)
	}
	return nil
}

func (c *checker) sessionEntry(k, _ []byte) error {
	var r record
	return c.entry(k, func(key sessionstore.Key) (int64, error) {
		err := readRecord(c.db, key, &r)
		return r.indexed, err
	})
}

func (c *checker) leaseEntry(k, _ []byte) error {
	var l lease
	return c.entry(k, func(key sessionstore.Key) (int64, error) {
		err := readLease(c.db, key, &l)
		return l.indexed, err
	})
}

// entry verifies that what an index entry leads to knows of it.
func (c *checker) entry(k []byte, indexed func(sessionstore.Key) (int64, error)) error {
	at, key, ok := splitIndexKey(k)
	if !ok {
		return fmt.Errorf("an index entry of %d bytes", len(k))
	}
	want, err := indexed(key)
	if err == nil && want != at {
		err = fmt.Errorf("index entry %c of %v at %d, but its record says %d", k[0], key, at, want)
	}
	return err
}
