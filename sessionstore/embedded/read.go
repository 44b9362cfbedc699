package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/lvsession/lvsession/sessionstore"
)

// Read implements [sessionstore.Store].
//
// The time is taken before the record is read, so a session that expires in between counts as read before that. A change
// comes into the engine, and into what is remembered, once it is on disk.
func (s *Store) Read(ctx context.Context, key sessionstore.Key) (sessionstore.Session, error) {
	leave, err := s.enter(ctx, "read")
	if err != nil {
		return sessionstore.Session{}, err
	}
	defer leave()
	now := s.now().UnixMilli()

	var f found
	if err := s.readOne(&f, key, now); err != nil {
		return sessionstore.Session{}, s.unavailable("read", err)
	}
	if f.moving {
		if err := s.readSnapshot(&f, key, now); err != nil {
			return sessionstore.Session{}, s.unavailable("read", err)
		}
	}
	switch {
	case f.hops:
		return sessionstore.Session{}, errTooManyHops
	case f.record.at(now) != live:
		return sessionstore.Session{}, sessionstore.ErrNotFound
	}
	return f.record.session(f.key, f.payload), nil
}

// found is what a read met.
type found struct {
	key     sessionstore.Key // the session's own
	record  record
	payload []byte // the caller's
	moving  bool   // it takes a snapshot: an alias, or a payload that does not belong to the record
	hops    bool   // too many aliases
}

// readOne reads one key: in nearly all cases that is all there is to do.
func (s *Store) readOne(f *found, key sessionstore.Key, now int64) error {
	f.key = key
	kept, known, glance := s.recent.get(&key, &f.record)
	if !known {
		if err := readRecord(s.db, key, &f.record); err != nil {
			return err
		}
	}
	switch f.record.at(now) {
	case alias:
		f.moving = true
	case live:
		if kept != nil {
			f.payload = bytes.Clone(trim(kept))
			return nil
		}
		payload, err := readPayload(s.db, key, &f.record)
		if errors.Is(err, errTorn) {
			f.moving = true
			return nil
		}
		if err != nil {
			return err
		}
		s.recent.fill(&key, &f.record, payload, glance)
		f.payload = bytes.Clone(trim(payload))
	}
	return nil
}

// readSnapshot reads the key, and what its aliases lead to, as of one instant.
func (s *Store) readSnapshot(f *found, key sessionstore.Key, now int64) error {
	snapshot := s.db.NewSnapshot()
	defer snapshot.Close()
	*f = found{}
	for range sessionstore.MaxAliasHops + 1 {
		f.key = key
		if err := readRecord(snapshot, key, &f.record); err != nil {
			return err
		}
		if f.record.at(now) != alias {
			payload, err := readPayload(snapshot, key, &f.record)
			f.payload = trim(payload)
			return err
		}
		key = f.record.target
	}
	f.hops = true
	return nil
}

// trim takes the stamp off a payload.
func trim(payload []byte) []byte {
	if len(payload) <= stampSize {
		return nil
	}
	return payload[stampSize:]
}

// errTorn: the payload is not the one that the record speaks of.
var errTorn = errors.New("a record and a payload that do not belong together")

func readRecord(db pebble.Reader, key sessionstore.Key, r *record) error {
	k := makeKey(sessionPrefix, key)
	value, done, err := db.Get(k[:])
	if errors.Is(err, pebble.ErrNotFound) {
		*r = record{}
		return nil
	}
	if err != nil {
		return fmt.Errorf("session %v: %w", key, err)
	}
	err = r.decode(value)
	if err := errors.Join(err, done.Close()); err != nil {
		return fmt.Errorf("session %v: %w", key, err)
	}
	return nil
}

func readLease(db pebble.Reader, key sessionstore.Key, l *lease) error {
	k := makeKey(leasePrefix, key)
	value, done, err := db.Get(k[:])
	if errors.Is(err, pebble.ErrNotFound) {
		*l = lease{}
		return nil
	}
	if err != nil {
		return fmt.Errorf("lease %v: %w", key, err)
	}
	err = l.decode(value)
	if err := errors.Join(err, done.Close()); err != nil {
		return fmt.Errorf("lease %v: %w", key, err)
	}
	return nil
}

// readPayload returns a copy of the record's payload with its stamp, nil if it has none.
func readPayload(db pebble.Reader, key sessionstore.Key, r *record) ([]byte, error) {
	if r.size == 0 {
		return nil, nil
	}
	k := makeKey(payloadPrefix, key)
	value, done, err := db.Get(k[:])
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, fmt.Errorf("session %v: %w", key, errTorn)
	}
	if err != nil {
		return nil, fmt.Errorf("payload %v: %w", key, err)
	}
	if !r.owns(value) {
		return nil, errors.Join(fmt.Errorf("session %v: %w", key, errTorn), done.Close())
	}
	payload := append([]byte(nil), value...)
	return payload, done.Close()
}
