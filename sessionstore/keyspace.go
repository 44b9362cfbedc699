package sessionstore

import (
	"context"
	"fmt"
	"time"
)

// Keyspace is one namespace of a [Service] by key: for a transport whose names are not all session ids. The policy's
// rules about sizes, time-outs and locks hold as in [Sessions]; that about made-up ids is the transport's own matter.
type Keyspace struct{ of namespace }

// Keyspace returns a namespace by key. The error wraps [ErrInvalid] if the name is malformed.
func (s *Service) Keyspace(name string) (Keyspace, error) {
	if err := CheckNamespace(name); err != nil {
		return Keyspace{}, err
	}
	return Keyspace{namespace{Service: s, name: name, policy: s.PolicyOf(name)}}, nil
}

// Name returns the namespace's name.
func (k Keyspace) Name() string { return k.of.name }

// Policy returns the namespace's policy.
func (k Keyspace) Policy() Policy { return k.of.policy }

// Read is [Store].Read.
func (k Keyspace) Read(ctx context.Context, key Key) (Session, error) { return k.of.read(ctx, key) }

// Write is [Store].Write under the namespace's policy.
func (k Keyspace) Write(ctx context.Context, key Key, w WriteOptions) (version uint64, err error) {
	return k.of.write(ctx, key, w)
}

// Touch is [Store].Touch under the namespace's policy.
func (k Keyspace) Touch(ctx context.Context, key Key, o TouchOptions) error {
	return k.of.touch(ctx, key, o)
}

// Walk is [Walker].Walk over the namespace alone. Errors: [ErrInvalid], also for a store that is no Walker.
func (k Keyspace) Walk(ctx context.Context, w Walk) (Page, error) {
	walker, ok := k.of.timed.Store.(Walker)
	if !ok {
		return Page{}, fmt.Errorf("%w: this store cannot list its sessions", ErrInvalid)
	}
	w.Namespace = k.of.name
	page, err := walker.Walk(ctx, w)
	for i := range page.Sessions {
		if err == nil && w.Payload {
			page.Sessions[i], err = k.of.compressor.unpack(page.Sessions[i])
		}
	}
	return page, err
}

// Destroy is [Store].Destroy with the policy's tombstone.
func (k Keyspace) Destroy(ctx context.Context, key Key) error {
	return k.of.store.Destroy(ctx, key, k.of.policy.Tombstone)
}

// Lock takes the lease of a session's own key, see [Session].Key, and waits for it in line. Errors: [ErrLocked];
// [ErrInvalid], also in a namespace whose policy gives no leases.
func (k Keyspace) Lock(ctx context.Context, key Key, l Lock, wait time.Duration) (Lease, error) {
	if k.of.policy.Locking == LockingOptimistic || k.of.policy.Locking == LockingNone {
		return Lease{}, fmt.Errorf("%w: this namespace gives no locks", ErrInvalid)
	}
	if err := l.Check(); err != nil {
		return Lease{}, err
	}
	got, err := k.of.queue.acquire(ctx, key, l, wait, k.of.policy.MaxWaiters)
	return got.lease, err
}

// Leased is [Store].Leased.
func (k Keyspace) Leased(ctx context.Context, key Key) (Lease, error) {
	return k.of.store.Leased(ctx, key)
}

// Unlock ends the lease with this token and wakes whoever waits for it. It does nothing if that is not the latest.
func (k Keyspace) Unlock(ctx context.Context, key Key, token uint64) error {
	return k.of.queue.release(ctx, key, token)
}
