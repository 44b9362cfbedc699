package main

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

// side is one of the two that are compared. All methods are for one client, a number from 0.
type side interface {
	read(ctx context.Context, client int, key sessionstore.Key) (version uint64, err error)
	write(ctx context.Context, client int, key sessionstore.Key, ifVersion uint64, payload []byte) error
	touch(ctx context.Context, client int, key sessionstore.Key, coarse time.Duration) error

	lock(ctx context.Context, client int, key sessionstore.Key) (token uint64, err error)
	// writeLast writes under a lease, on the version that was read under it, and releases the lease.
	writeLast(ctx context.Context, client int, key sessionstore.Key, ifVersion, token uint64, payload []byte) error
}

// ours is the store, through its interface.
type ours struct{ store sessionstore.Store }

func openStore(ctx context.Context, dsns []string) (*ours, error) {
	s, err := ndb.Open(ctx, ndb.Options{DSNs: dsns})
	return &ours{s}, err
}

// Close closes the store.
func (s *ours) Close() error { return s.store.Close() }

func (s *ours) read(ctx context.Context, _ int, key sessionstore.Key) (uint64, error) {
	session, err := s.store.Read(ctx, key)
	return session.Version, err
}

func (s *ours) write(ctx context.Context, _ int, key sessionstore.Key, ifVersion uint64, payload []byte) error {
	_, err := s.store.Write(ctx, key, sessionstore.Write{Payload: payload, Idle: idle, IfVersion: ifVersion})
	return err
}

func (s *ours) touch(ctx context.Context, _ int, key sessionstore.Key, coarse time.Duration) error {
	return s.store.Touch(ctx, key, sessionstore.Touch{Idle: idle, Coarse: coarse})
}

func (s *ours) lock(ctx context.Context, _ int, key sessionstore.Key) (uint64, error) {
	l, err := s.store.Lock(ctx, key, sessionstore.Lock{TTL: leaseFor})
	return l.Token, err
}

func (s *ours) writeLast(ctx context.Context, _ int, key sessionstore.Key, ifVersion, token uint64, payload []byte) error {
	_, err := s.store.Write(ctx, key, sessionstore.Write{Payload: payload, Idle: idle, IfVersion: ifVersion, Token: token, Release: true})
	return err
}

// reference sends one interpolated statement an operation, guarded as the store's are. Each client keeps to one SQL node
// and finds a connection there at once.
type reference struct{ nodes []*sql.DB }

func openReference(dsns []string, clients int) (*reference, error) {
	r := &reference{}
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
func (r *reference) Close() error {
	var errs []error
	for _, db := range r.nodes {
		errs = append(errs, db.Close())
	}
	return errors.Join(errs...)
}

func (r *reference) node(client int) *sql.DB { return r.nodes[client%len(r.nodes)] }

func (r *reference) read(ctx context.Context, client int, key sessionstore.Key) (version uint64, err error) {
	var payload []byte
	var expires int64
	err = r.node(client).QueryRowContext(ctx, "SELECT ver, expires, payload FROM session WHERE id = ?", key[:]).Scan(&version, &expires, &payload)
	if err == nil && expires <= time.Now().UnixMilli() {
		err = sessionstore.ErrNotFound
	}
	return version, err
}

func (r *reference) write(ctx context.Context, client int, key sessionstore.Key, ifVersion uint64, payload []byte) error {
	now := time.Now()
	expires := now.Add(idle).UnixMilli()
	return r.update(ctx, client, "UPDATE session SET ver = ?, stamp = ?, expires = ?, due = ?, payload = ? WHERE id = ? AND ver = ? AND state = 1 AND expires > ?",
		ifVersion+1, rand.Uint64(), expires, expires/60_000+1, payload, key[:], ifVersion, now.UnixMilli())
}

func (r *reference) touch(ctx context.Context, client int, key sessionstore.Key, _ time.Duration) error {
	now := time.Now()
	expires := now.Add(idle).UnixMilli()
	return r.update(ctx, client, "UPDATE session SET expires = ?, due = ? WHERE id = ? AND state = 1 AND expires > ?",
		expires, expires/60_000+1, key[:], now.UnixMilli())
}

// lock takes a lease that has ended, and makes one where there is none. Its tokens are times as the store's are: the sides
// take turns on the same leases.
func (r *reference) lock(ctx context.Context, client int, key sessionstore.Key) (uint64, error) {
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
func (r *reference) writeLast(ctx context.Context, client int, key sessionstore.Key, ifVersion, token uint64, payload []byte) error {
	if err := r.write(ctx, client, key, ifVersion, payload); err != nil {
		return err
	}
	return r.update(ctx, client, "UPDATE lease SET ends = 0 WHERE id = ? AND token = ?", key[:], token)
}

func (r *reference) update(ctx context.Context, client int, statement string, args ...any) error {
	result, err := r.node(client).ExecContext(ctx, statement, args...)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); n != 1 || err != nil {
		return fmt.Errorf("reference: %d rows were changed: %w", n, errors.Join(sessionstore.ErrConflict, err))
	}
	return nil
}
