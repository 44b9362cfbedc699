package ndb

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/ndb/internal/lane"
)

// The numbers of lanes are chosen by measuring, see docs/ndb.md: few lanes make large batches.

// readLanes returns how to gather reads for so many SQL nodes.
func readLanes(nodes int) lane.Options {
	return lane.Options{Lanes: max(2, nodes), MaxBatch: maxBatch, MaxBytes: maxBatch * inlineSize, Repeat: true}
}

// changeLanes returns how to gather changes for so many SQL nodes.
func changeLanes(nodes int) lane.Options {
	return lane.Options{Lanes: max(2, nodes), MaxBatch: maxBatch, MaxBytes: 1 << 20}
}

// undecided is the outcome of an operation that its batch could not decide: the operation must run alone.
type undecided struct {
	attempt attempt
	cause   error
}

func (e *undecided) Error() string { return fmt.Sprintf("not decided in a batch: %v", e.cause) }

// errAlone is the cause where nothing failed, but the operation takes more than a batch does.
var errAlone = errors.New("it takes more than one row")

// batched runs an operation in a batch, and alone if that does not decide it.
func batched[O, T any](ctx context.Context, s *Store, lanes *lane.Lanes[O, T], op string, key sessionstore.Key, size int, o O, alone work[T]) (T, error) {
	if !s.begin() {
		var none T
		return none, unavailable(op, 0, errClosed)
	}
	defer s.working.Done()
	value, err := lanes.Do(ctx, key, size, o)
	if u := (*undecided)(nil); errors.As(err, &u) {
		a := u.attempt // others of the batch share u
		return resume(ctx, s, op, &a, alone)
	}
	return value, err
}

// inBatch does the work of a batch, or of a part of it, of so many operations. It does it once: unless an error is an answer
// it is undecided, and the operations are repeated one by one, so that none can spoil it for the others.
func inBatch[T any](s *Store, op string, size int, a attempt, do work[T]) (T, error) {
	x := s.nodes.pick(nil)
	pool := x.wide
	if size == 1 {
		pool = x.db
	}
	value, c, err := once(context.Background(), x, pool, &a, do)
	switch {
	case err == nil || isContract(err):
		return value, err
	case errors.Is(err, errBusy):
		return value, unavailable(op, time.Second, err)
	case c.suspect():
		s.nodes.suspect(x, err)
	}
	a.uncertain = a.uncertain || c.uncertain()
	return value, &undecided{a, err}
}

// readBatch is the executor of reads.
func (s *Store) readBatch(keys []sessionstore.Key) []lane.Outcome[sessionstore.Session] {
	outcomes := make([]lane.Outcome[sessionstore.Session], len(keys))
	if len(keys) == 1 {
		outcomes[0].Value, outcomes[0].Err = inBatch(s, "read", 1, attempt{}, s.readAlone(keys[0]))
		return outcomes
	}
	now := s.clock()
	rows, err := inBatch(s, "read", len(keys), attempt{}, func(ctx context.Context, conn *sqlx.Conn, _ *attempt) (map[sessionstore.Key]*row, error) {
		return statements{conn}.rows(ctx, keys)
	})
	for i, key := range keys {
		o := &outcomes[i]
		if err != nil {
			o.Err = err
			continue
		}
		r := rows[key]
		switch at := r.at(now); {
		case at == alias, at == live && r.Chunks > 0:
			o.Err = &undecided{cause: errAlone}
		case at != live:
			o.Err = sessionstore.ErrNotFound
		default:
			payload := r.payload
			if r.given {
				payload = bytes.Clone(payload)
			}
			r.given = true
			o.Value = r.session(key, payload)
		}
	}
	return outcomes
}

// row is a record with the first part of its payload.
type row struct {
	record
	payload []byte
	given   bool // whether a reader owns the payload
}

// rows reads the rows of keys, which may repeat, with their payloads.
func (s statements) rows(ctx context.Context, keys []sessionstore.Key) (map[sessionstore.Key]*row, error) {
	found := make(map[sessionstore.Key]*row, len(keys))
	var distinct []sessionstore.Key
	for _, key := range keys {
		if _, repeated := found[key]; !repeated {
			found[key] = &row{}
			distinct = append(distinct, key)
		}
	}
	w := wordKeys(distinct)
	rows, err := s.q.QueryxContext(ctx, prepared+"SELECT id, "+recordColumns+", payload FROM session WHERE "+w.ids(), w.args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id sql.RawBytes
		r := &row{record: record{found: true}}
		if err := rows.Scan(&id, &r.State, &r.Version, &r.Stamp, &r.Created, &r.Expires, &r.Deadline, &r.Chunks, &r.Target,
			&r.Namespace, &r.Subject, &r.Encoding, &r.payload); err != nil {
			return nil, err
		}
		found[sessionstore.Key(id)] = r
	}
	return found, rows.Err()
}
