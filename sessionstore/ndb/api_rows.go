package ndb

import (
	"context"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/ndb/internal/api"
)

// apiRows implements [tables] in a transaction of the NDB API. What it changes is staged, and made by the commit.
type apiRows struct {
	w       api.Worker
	changed bool
}

var _ tables = (*apiRows)(nil)

// recordOf returns a copy of the row without its payload.
func recordOf(r *api.Session) record {
	x := record{
		State: state(r.State), Version: r.Version, Stamp: r.Stamp, Created: r.Created, Expires: r.Expires, Deadline: r.Deadline,
		Chunks: int(r.Chunks), Namespace: r.Namespace(), Encoding: sessionstore.Encoding(r.Encoding), found: true,
	}
	if b := r.Target.Bytes(); len(b) > 0 {
		x.Target = append([]byte(nil), b...)
	}
	if b := r.Subject.Bytes(); len(b) > 0 {
		x.Subject = append([]byte(nil), b...)
	}
	return x
}

// fill makes the row that of a key, with the first part of a payload.
func (r record) fill(to *api.Session, key sessionstore.Key, payload []byte) {
	to.ID, to.State, to.Version, to.Stamp = key, uint8(r.State), r.Version, r.Stamp
	to.Created, to.Expires, to.Deadline, to.Due = r.Created, r.Expires, r.Deadline, uint32(due(r.gone()))
	to.Chunks, to.Encoding = uint16(r.Chunks), uint8(r.Encoding)
	to.Target.Set(r.Target)
	to.Subject.Set(r.Subject)
	to.SetNamespace(r.Namespace)
	to.SetPayload(payload)
}

func leaseOf(r *api.Lease) lease {
	return lease{Token: r.Token, Stamp: r.Stamp, Owner: r.Owner, Ends: r.Ends, Due: int64(r.Due), found: true}
}

func (l lease) fill(to *api.Lease, key sessionstore.Key) {
	*to = api.Lease{ID: key, Token: l.Token, Stamp: l.Stamp, Owner: l.Owner, Ends: l.Ends, Due: uint32(l.Due)}
}

func (t *apiRows) get(key sessionstore.Key, mode api.Mode, heads bool) (record, error) {
	row := &t.w.Ops()[0].Row
	row.ID = key
	err := t.w.Get(api.Sessions, 0, mode, heads)
	if api.Is(err, api.NoRow) {
		return record{}, nil
	}
	if err != nil {
		return record{}, err
	}
	return recordOf(row), nil
}

func (t *apiRows) record(_ context.Context, key sessionstore.Key) (record, error) {
	return t.get(key, api.Committed, true)
}

func (t *apiRows) lockRecord(_ context.Context, key sessionstore.Key) (record, error) {
	return t.get(key, api.Exclusive, true)
}

func (t *apiRows) recordAndHead(_ context.Context, key sessionstore.Key) (record, []byte, error) {
	return t.head(key, api.Committed)
}

func (t *apiRows) lockRecordAndHead(_ context.Context, key sessionstore.Key) (record, []byte, error) {
	return t.head(key, api.Exclusive)
}

func (t *apiRows) head(key sessionstore.Key, mode api.Mode) (record, []byte, error) {
	r, err := t.get(key, mode, false)
	if err != nil || !r.found {
		return r, nil, err
	}
	return r, append([]byte{}, t.w.Ops()[0].Row.Payload()...), nil
}

func (t *apiRows) chunks(_ context.Context, key sessionstore.Key, r record, payload []byte) ([]byte, error) {
	if r.Chunks == 0 {
		return payload, nil
	}
	if r.Chunks >= api.Slots || len(payload) != inlineSize {
		return nil, errTorn
	}
	t.w.Ops()[0].Row.ID, t.w.Ops()[0].Row.Version = key, r.Version
	err := t.w.GetChunks(r.Chunks)
	if api.Is(err, api.NoRow) {
		return nil, errTorn
	}
	if err != nil {
		return nil, err
	}
	for i := range r.Chunks {
		payload = append(payload, t.w.Ops()[i+1].Chunk().Data()...)
	}
	return payload, nil
}

// put stages a change of the row in slot 0.
func (t *apiRows) put(table api.Table, c api.Change) error {
	t.changed = true
	return t.w.Put(table, 0, c)
}

func (t *apiRows) insert(_ context.Context, key sessionstore.Key, r record, payload []byte) error {
	r.fill(&t.w.Ops()[0].Row, key, inline(payload))
	return t.put(api.Sessions, api.PutInsert)
}

func (t *apiRows) update(_ context.Context, key sessionstore.Key, r record, payload []byte) error {
	r.fill(&t.w.Ops()[0].Row, key, inline(payload))
	return t.put(api.Sessions, api.PutUpdate)
}

func (t *apiRows) insertChunks(_ context.Context, key sessionstore.Key, r record, payload []byte) error {
	for seq := range r.Chunks {
		from := inlineSize + seq*chunkSize
		c := t.w.Ops()[0].Chunk()
		c.ID, c.Version, c.Seq = key, r.Version, uint16(seq)
		c.SetData(payload[from:min(len(payload), from+chunkSize)])
		if err := t.put(api.Chunks, api.PutInsert); err != nil {
			return err
		}
	}
	return nil
}

func (t *apiRows) deleteChunks(_ context.Context, key sessionstore.Key, r record) error {
	for seq := range r.Chunks {
		c := t.w.Ops()[0].Chunk()
		c.ID, c.Version, c.Seq = key, r.Version, uint16(seq)
		if err := t.put(api.Chunks, api.PutDelete); err != nil {
			return err
		}
	}
	return nil
}

func (t *apiRows) moveSubject(_ context.Context, key sessionstore.Key, before, after record) error {
	if string(before.Subject) == string(after.Subject) {
		return nil
	}
	for _, x := range []struct {
		subject []byte
		change  api.Change
	}{{before.Subject, api.PutDelete}, {after.Subject, api.PutInsert}} {
		if len(x.subject) == 0 {
			continue
		}
		row := t.w.Ops()[0].SubjectRow()
		copy(row.Subject[:], x.subject)
		row.ID = key
		if err := t.put(api.Subjects, x.change); err != nil {
			return err
		}
	}
	return nil
}

func (t *apiRows) prolong(_ context.Context, key sessionstore.Key, now, expires int64) (bool, error) {
	r, err := t.get(key, api.Exclusive, false)
	if err != nil || r.at(now) != live {
		return false, err
	}
	if r.Expires = expires; r.Deadline != 0 {
		r.Expires = min(expires, r.Deadline)
	}
	row := &t.w.Ops()[0].Row
	row.Expires, row.Due = r.Expires, uint32(due(r.gone()))
	return true, t.put(api.Sessions, api.PutUpdate)
}

func (t *apiRows) getLease(key sessionstore.Key, mode api.Mode) (lease, error) {
	row := &t.w.Ops()[0].Lock
	row.ID = key
	err := t.w.Get(api.Leases, 0, mode, false)
	if api.Is(err, api.NoRow) {
		return lease{}, nil
	}
	if err != nil {
		return lease{}, err
	}
	return leaseOf(row), nil
}

func (t *apiRows) lockLease(_ context.Context, key sessionstore.Key) (lease, error) {
	return t.getLease(key, api.Exclusive)
}

func (t *apiRows) putLease(key sessionstore.Key, l lease, c api.Change) error {
	l.fill(&t.w.Ops()[0].Lock, key)
	return t.put(api.Leases, c)
}

func (t *apiRows) insertLease(_ context.Context, key sessionstore.Key, l lease) error {
	return t.putLease(key, l, api.PutInsert)
}

func (t *apiRows) updateLease(_ context.Context, key sessionstore.Key, l lease) error {
	return t.putLease(key, l, api.PutUpdate)
}

func (t *apiRows) deleteLease(ctx context.Context, key sessionstore.Key) error {
	if l, err := t.lockLease(ctx, key); err != nil || !l.found {
		return err
	}
	return t.put(api.Leases, api.PutDelete)
}

func (t *apiRows) release(ctx context.Context, key sessionstore.Key, token uint64) error {
	if token == 0 {
		return nil
	}
	l, err := t.lockLease(ctx, key)
	if err != nil || !l.found || l.Token != token {
		return err
	}
	l.Ends = 0
	return t.putLease(key, l, api.PutUpdate)
}
