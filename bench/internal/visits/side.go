package visits

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/ndb"
)

// Side is one of those that are compared. All methods are for one client, a number from 0.
type Side interface {
	read(ctx context.Context, client int, key sessionstore.Key) (version uint64, err error)
	write(ctx context.Context, client int, key sessionstore.Key, ifVersion uint64, payload []byte) error
	touch(ctx context.Context, client int, key sessionstore.Key, coarse time.Duration) error

	lock(ctx context.Context, client int, key sessionstore.Key) (token uint64, err error)
	// writeLast writes under a lease, on the version that was read under it, and releases the lease.
	writeLast(ctx context.Context, client int, key sessionstore.Key, ifVersion, token uint64, payload []byte) error
}

// Ours is a store, through its interface.
type Ours struct{ Store sessionstore.Store }

// OpenStore opens the store on SQL nodes.
func OpenStore(ctx context.Context, dsns []string) (*Ours, error) {
	s, err := ndb.Open(ctx, ndb.Options{DSNs: dsns})
	return &Ours{s}, err
}

// Close closes the store.
func (s *Ours) Close() error { return s.Store.Close() }

func (s *Ours) read(ctx context.Context, _ int, key sessionstore.Key) (uint64, error) {
	session, err := s.Store.Read(ctx, key)
	return session.Version, err
}

func (s *Ours) write(ctx context.Context, _ int, key sessionstore.Key, ifVersion uint64, payload []byte) error {
	_, err := s.Store.Write(ctx, key, sessionstore.Write{Payload: payload, Idle: idle, IfVersion: ifVersion})
	return err
}

func (s *Ours) touch(ctx context.Context, _ int, key sessionstore.Key, coarse time.Duration) error {
	return s.Store.Touch(ctx, key, sessionstore.Touch{Idle: idle, Coarse: coarse})
}

func (s *Ours) lock(ctx context.Context, _ int, key sessionstore.Key) (uint64, error) {
	l, err := s.Store.Lock(ctx, key, sessionstore.Lock{TTL: leaseFor})
	return l.Token, err
}

func (s *Ours) writeLast(ctx context.Context, _ int, key sessionstore.Key, ifVersion, token uint64, payload []byte) error {
	_, err := s.Store.Write(ctx, key, sessionstore.Write{Payload: payload, Idle: idle, IfVersion: ifVersion, Token: token, Release: true})
	return err
}

// Reference sends one interpolated statement an operation, guarded as the store's are. Each client keeps to one SQL node
// and finds a connection there at once.
type Reference struct{ nodes []*sql.DB }

// OpenReference connects each client to one of the SQL nodes.
func OpenReference(dsns []string, clients int) (*Reference, error) {
	r := &Reference{}
	for _, dsn := range dsns {
		cfg, err := mysql.ParseDSN(dsn)
		if err != nil {
			return nil, errors.Join(errors.New("a DSN is malformed"), r.Close())
		}
		cfg.InterpolateParams = true
		cfg.ClientFoundRows = true
		connector, err := mysql.NewConnector(cfg)
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		db := sql.OpenDB(connector)
		each := (clients + len(dsns) - 1) / len(dsns)
		db.SetMaxOpenConns(each)
		db.SetMaxIdleConns(each)
		r.nodes = append(r.nodes, db)
	}
	return r, nil
}

// Close closes the pools.
func (r *Reference) Close() error {
	var errs []error
	for _, db := range r.nodes {
		errs = append(errs, db.Close())
	}
	return errors.Join(errs...)
}

func (r *Reference) node(client int) *sql.DB { return r.nodes[client%len(r.nodes)] }

func (r *Reference) read(ctx context.Context, client int, key sessionstore.Key) (version uint64, err error) {
	var payload []byte
	var expires int64
	err = r.node(client).QueryRowContext(ctx, "SELECT ver, expires, payload FROM session WHERE id = ?", key[:]).Scan(&version, &expires, &payload)
	if err == nil && expires <= time.Now().UnixMilli() {
		err = sessionstore.ErrNotFound
	}
	return version, err
}

func (r *Reference) write(ctx context.Context, client int, key sessionstore.Key, ifVersion uint64, payload []byte) error {
	now := time.Now()
	expires := now.Add(idle).UnixMilli()
	return r.update(ctx, client, "UPDATE session SET ver = ?, stamp = ?, expires = ?, due = ?, payload = ? WHERE id = ? AND ver = ? AND state = 1 AND expires > ?",
		ifVersion+1, rand.Uint64(), expires, expires/60_000+1, payload, key[:], ifVersion, now.UnixMilli())
}

func (r *Reference) touch(ctx context.Context, client int, key sessionstore.Key, _ time.Duration) error {
	now := time.Now()
	expires := now.Add(idle).UnixMilli()
	return r.update(ctx, client, "UPDATE session SET expires = ?, due = ? WHERE id = ? AND state = 1 AND expires > ?",
		expires, expires/60_000+1, key[:], now.UnixMilli())
}

// lock takes a lease that has ended, and makes one where there is none. Its tokens are times as the store's are: the sides
// take turns on the same leases.
func (r *Reference) lock(ctx context.Context, client int, key sessionstore.Key) (uint64, error) {
	now := time.Now()
	token := uint64(now.UnixMicro())
	ends := now.Add(leaseFor).UnixMilli()
	result, err := r.node(client).ExecContext(ctx, "UPDATE lease SET token = ?, ends = ?, due = ? WHERE id = ? AND ends <= ?", token, ends, ends/60_000+61, key[:], now.UnixMilli())
	if err != nil {
		return 0, err
	}
	if n, err := result.RowsAffected(); n == 1 || err != nil {
		return token, err
	}
	_, err = r.node(client).ExecContext(ctx, "INSERT INTO lease (id, token, stamp, owner, ends, due) VALUES (?, ?, 0, 0, ?, ?)", key[:], token, ends, ends/60_000+61)
	return token, err
}

// writeLast relies on the version: whoever has the lease read it.
func (r *Reference) writeLast(ctx context.Context, client int, key sessionstore.Key, ifVersion, token uint64, payload []byte) error {
	if err := r.write(ctx, client, key, ifVersion, payload); err != nil {
		return err
	}
	return r.update(ctx, client, "UPDATE lease SET ends = 0 WHERE id = ? AND token = ?", key[:], token)
}

func (r *Reference) update(ctx context.Context, client int, statement string, args ...any) error {
	result, err := r.node(client).ExecContext(ctx, statement, args...)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); n != 1 || err != nil {
		return fmt.Errorf("reference: %d rows were changed: %w", n, errors.Join(sessionstore.ErrConflict, err))
	}
	return nil
}
