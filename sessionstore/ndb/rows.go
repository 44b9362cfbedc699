package ndb

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/lvsession/lvsession/sessionstore"
)

// Sizes of the schema's columns session.payload and chunk.data, in bytes.
const (
	inlineSize = 29_000
	chunkSize  = 29_000
)

// chunksFor returns how many chunks hold the rest of a payload of n bytes.
func chunksFor(n int) int { return max(0, (n-inlineSize+chunkSize-1)/chunkSize) }

// statements run on one connection or in one transaction of it.
type statements struct {
	q interface {
		ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
		QueryxContext(ctx context.Context, query string, args ...any) (*sqlx.Rows, error)
		GetContext(ctx context.Context, dest any, query string, args ...any) error
		SelectContext(ctx context.Context, dest any, query string, args ...any) error
	}
}

// exec runs a statement and returns how many rows it matched.
func (s statements) exec(ctx context.Context, query string, args ...any) (int64, error) {
	result, err := s.q.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

const recordColumns = "state, ver, stamp, created, expires, deadline, chunks, target, ns, subject, enc"

// record reads the row of a key without its payload.
func (s statements) record(ctx context.Context, key sessionstore.Key) (r record, err error) {
	return s.selectRecord(ctx, prepared+"SELECT "+recordColumns+" FROM session WHERE id = ?", key)
}

// lockRecord is as record, and locks the row until the transaction ends. It locks nothing where there is no row.
func (s statements) lockRecord(ctx context.Context, key sessionstore.Key) (r record, err error) {
	return s.selectRecord(ctx, prepared+"SELECT "+recordColumns+" FROM session WHERE id = ? FOR UPDATE", key)
}

func (s statements) selectRecord(ctx context.Context, query string, key sessionstore.Key) (r record, err error) {
	err = s.q.GetContext(ctx, &r, query, key[:])
	if errors.Is(err, sql.ErrNoRows) {
		return record{}, nil
	}
	r.found = err == nil
	return r, err
}

// recordAndHead reads the row of a key with the first part of its payload.
func (s statements) recordAndHead(ctx context.Context, key sessionstore.Key) (record, []byte, error) {
	return s.selectHead(ctx, prepared+"SELECT "+recordColumns+", payload FROM session WHERE id = ?", key)
}

// lockRecordAndHead is as recordAndHead, and locks the row until the transaction ends.
func (s statements) lockRecordAndHead(ctx context.Context, key sessionstore.Key) (record, []byte, error) {
	return s.selectHead(ctx, prepared+"SELECT "+recordColumns+", payload FROM session WHERE id = ? FOR UPDATE", key)
}

func (s statements) selectHead(ctx context.Context, query string, key sessionstore.Key) (record, []byte, error) {
	var row struct {
		record
		Payload []byte `db:"payload"`
	}
	err := s.q.GetContext(ctx, &row, query, key[:])
	if errors.Is(err, sql.ErrNoRows) {
		return record{}, nil, nil
	}
	row.found = err == nil
	return row.record, row.Payload, err
}

// expirySet moves the expiry, but not past the deadline that the row has; expiryArgs are its arguments. A server makes the
// assignments of an UPDATE from left to right, so that due follows the new expiry.
const expirySet = "expires = IF(deadline = 0 OR deadline > ?, ?, deadline), due = expires DIV 60000 + 1"

func expiryArgs(expires int64) []any { return []any{expires, expires} }

// isLive is true of a row that is a session at an instant, its argument.
const isLive = "state = 1 AND expires > ?"

// advance is the fast path of a conditional write: it rewrites a session that is at the version, not expired, and of the subject
// that the write names if any, if its old payload has no chunks, and reports whether there was such a session. The new
// payload must be inline.
func (s statements) advance(ctx context.Context, key sessionstore.Key, version, stamp uint64, now int64, w sessionstore.Write) (bool, error) {
	args := append([]any{version + 1, stamp, w.Encoding}, expiryArgs(now+w.Idle.Milliseconds())...)
	args = append(args, inline(w.Payload), key[:], version, now)
	ofSubject := ""
	if w.Subject != (sessionstore.Key{}) {
		ofSubject, args = " AND subject = ?", append(args, w.Subject[:])
	}
	n, err := s.exec(ctx, prepared+"UPDATE session SET ver = ?, stamp = ?, enc = ?, "+expirySet+", payload = ? WHERE id = ? AND ver = ? AND chunks = 0 AND "+isLive+ofSubject,
		args...)
	return n > 0, err
}

// prolong is the fast path of a touch: it moves the expiry of a session, and reports whether there was one.
func (s statements) prolong(ctx context.Context, key sessionstore.Key, now, expires int64) (bool, error) {
	n, err := s.exec(ctx, prepared+"UPDATE session SET "+expirySet+" WHERE id = ? AND "+isLive, append(expiryArgs(expires), key[:], now)...)
	return n > 0, err
}

// buryLive is the fast path of a destruction: it makes a session without chunks and subject, expired or not, a tombstone,
// and reports whether there was one.
func (s statements) buryLive(ctx context.Context, key sessionstore.Key, until int64) (bool, error) {
	n, err := s.exec(ctx, prepared+"UPDATE session SET state = 3, created = 0, expires = ?, deadline = 0, due = ?, target = '', ns = '', enc = 0, payload = '' WHERE id = ? AND "+isPlain,
		until, due(until), key[:])
	return n > 0, err
}

// isPlain is true of a session that has rows in no other table.
const isPlain = "state = 1 AND chunks = 0 AND subject = ''"

// columns are those of session, in the order of values after the key.
const (
	columns     = "id, state, ver, stamp, created, expires, deadline, due, chunks, target, ns, subject, enc, payload"
	columnCount = 14
)

// values are those of all columns but the key.
func (r record) values(payload []byte) []any {
	return []any{r.State, r.Version, r.Stamp, r.Created, r.Expires, r.Deadline, due(r.gone()), r.Chunks, notNil(r.Target),
		r.Namespace, notNil(r.Subject), r.Encoding, inline(payload)}
}

// insert adds the row of a key. The error is the server's for a duplicate key if there is one, see isDuplicate.
func (s statements) insert(ctx context.Context, key sessionstore.Key, r record, payload []byte) error {
	_, err := s.exec(ctx, prepared+"INSERT INTO session ("+columns+") VALUES ("+list("?", columnCount)+")", append([]any{key[:]}, r.values(payload)...)...)
	return err
}

// update rewrites the whole row of a key, which the transaction has locked.
func (s statements) update(ctx context.Context, key sessionstore.Key, r record, payload []byte) error {
	_, err := s.exec(ctx, "UPDATE session SET state = ?, ver = ?, stamp = ?, created = ?, expires = ?, deadline = ?, due = ?, chunks = ?, target = ?, ns = ?, subject = ?, enc = ?, payload = ? WHERE id = ?",
		append(r.values(payload), key[:])...)
	return err
}

// moveSubject makes the rows of subject what two records of a key differ in.
func (s statements) moveSubject(ctx context.Context, key sessionstore.Key, before, after record) error {
	if bytes.Equal(before.Subject, after.Subject) {
		return nil
	}
	if len(before.Subject) > 0 {
		if _, err := s.exec(ctx, "DELETE FROM subject WHERE subject = ? AND id = ?", before.Subject, key[:]); err != nil {
			return err
		}
	}
	if len(after.Subject) > 0 {
		if _, err := s.exec(ctx, "INSERT INTO subject (subject, id) VALUES (?, ?)", after.Subject, key[:]); err != nil {
			return err
		}
	}
	return nil
}

func inline(payload []byte) []byte { return notNil(payload[:min(len(payload), inlineSize)]) }

// notNil keeps a nil slice from becoming NULL.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func (s statements) insertChunks(ctx context.Context, key sessionstore.Key, r record, payload []byte) error {
	if r.Chunks == 0 {
		return nil
	}
	args := make([]any, 0, 4*r.Chunks)
	for seq := range r.Chunks {
		from := inlineSize + seq*chunkSize
		args = append(args, key[:], r.Version, seq, payload[from:min(len(payload), from+chunkSize)])
	}
	_, err := s.exec(ctx, "INSERT INTO chunk (id, ver, seq, data) VALUES "+list("(?, ?, ?, ?)", r.Chunks), args...)
	return err
}

func (s statements) deleteChunks(ctx context.Context, key sessionstore.Key, r record) error {
	if r.Chunks == 0 {
		return nil
	}
	_, err := s.exec(ctx, "DELETE FROM chunk WHERE id = ? AND ver = ? AND seq IN ("+upTo(r.Chunks)+")", key[:], r.Version)
	return err
}

type chunk struct {
	Seq  int    `db:"seq"`
	Data []byte `db:"data"`
}

// errTorn says that what was read does not belong together: the chunks of a payload are not all there, since a newer version
// took its place, or an alias leads to a row that is not there yet.
var errTorn = errors.New("session is being replaced")

// chunks appends the chunks of a record to the first part of its payload. The error is errTorn if they are gone.
func (s statements) chunks(ctx context.Context, key sessionstore.Key, r record, payload []byte) ([]byte, error) {
	if r.Chunks == 0 {
		return payload, nil
	}
	var rows []chunk
	// Each key is given in full, so that NDB looks the rows up by its hash and scans nothing.
	err := s.q.SelectContext(ctx, &rows, "SELECT seq, data FROM chunk WHERE id = ? AND ver = ? AND seq IN ("+upTo(r.Chunks)+")", key[:], r.Version)
	if err != nil {
		return nil, err
	}
	if len(rows) != r.Chunks || len(payload) != inlineSize {
		return nil, errTorn
	}
	slices.SortFunc(rows, func(a, b chunk) int { return a.Seq - b.Seq })
	for _, row := range rows {
		payload = append(payload, row.Data...)
	}
	return payload, nil
}

// upTo returns "0,1,…,n-1".
func upTo(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(i))
	}
	return b.String()
}

// list returns n times item, separated by commas.
func list(item string, n int) string { return strings.TrimSuffix(strings.Repeat(item+",", n), ",") }
