package sessionstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Service turns a [Store] into [Sessions]: it checks ids, applies the [Policy], lets requests wait for leases in order,
// and collects what has expired.
type Service struct {
	store      Store // timed
	timed      *timed
	policy     Policy            // of namespaces that have none of their own
	namespaces map[string]Policy // that have
	log        *slog.Logger
	queue      *queue
	compressor compressor

	collected collected
}

// NewService returns a service over the store, which stays the caller's to close. The policy is that of every namespace
// that is given none of its own. A nil logger discards.
func NewService(store Store, policy Policy, log *slog.Logger, own ...NamespacePolicy) (*Service, error) {
	if err := policy.Check(); err != nil {
		return nil, fmt.Errorf("session policy: %w", err)
	}
	namespaces := make(map[string]Policy, len(own))
	for _, o := range own {
		if err := errors.Join(CheckNamespace(o.Namespace), o.Policy.Check()); err != nil {
			return nil, fmt.Errorf("policy of namespace %.64q: %w", o.Namespace, err)
		}
		namespaces[o.Namespace] = o.Policy
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	t := &timed{Store: store}
	return &Service{store: t, timed: t, policy: policy, namespaces: namespaces, log: log, queue: newQueue(t), compressor: newCompressor()}, nil
}

// Store returns the store for whoever works on it beside the service, so that collection sees what it does to that work
// too. It shows none of the store's optional interfaces.
func (s *Service) Store() Store { return s.store }

// Namespace returns the sessions of one namespace. The error wraps [ErrInvalid] if the name is malformed.
func (s *Service) Namespace(name string) (Sessions, error) {
	if err := CheckNamespace(name); err != nil {
		return nil, err
	}
	return namespace{Service: s, name: name, policy: s.PolicyOf(name)}, nil
}

// Ready reports whether the store could serve a request now.
func (s *Service) Ready(ctx context.Context) error { return s.store.Ping(ctx) }

// PolicyOf returns the policy of a namespace.
func (s *Service) PolicyOf(name string) Policy {
	if own, ok := s.namespaces[name]; ok {
		return own
	}
	return s.policy
}

// MaxPayload returns the largest payload that any namespace takes, in bytes.
func (s *Service) MaxPayload() int {
	most := s.policy.MaxPayload
	for _, p := range s.namespaces {
		most = max(most, p.MaxPayload)
	}
	return most
}

// namespace is a Service's view for one namespace.
type namespace struct {
	*Service
	name   string
	policy Policy
}

func (n namespace) key(id string) (Key, error) {
	if err := CheckID(id); err != nil {
		return Key{}, err
	}
	return NewKey(n.name, id), nil
}

// Open implements [Sessions].
func (n namespace) Open(ctx context.Context, id string, o OpenOptions) (Opened, error) {
	if id == "" {
		return Opened{ID: NewID(), New: true}, nil
	}
	key, err := n.key(id)
	if err != nil {
		return Opened{}, err
	}
	if err := o.OnLocked.Check(); err != nil {
		return Opened{}, err
	}
	opened := Opened{ID: id}
	opened.Session, err = n.store.Read(ctx, key)
	if err == nil && n.locks(o) {
		opened.Session, opened.Lease, err = n.lock(ctx, key, opened.Session, o)
		if errors.Is(err, ErrLocked) {
			opened, err = n.goOn(ctx, id, key, o, err)
		}
	}
	if errors.Is(err, ErrNotFound) {
		return Opened{ID: NewID(), New: true}, nil
	}
	if err != nil {
		return Opened{}, err
	}
	leased := opened.Session.Key
	if opened.Session, err = n.compressor.unpack(opened.Session); err != nil {
		if opened.Lease.Token != 0 {
			n.unlock(ctx, leased, opened.Lease.Token)
		}
		return Opened{}, err
	}
	return opened, nil
}

// locks tells whether an open takes the lease.
func (n namespace) locks(o OpenOptions) bool {
	switch n.policy.Locking {
	case LockingLease:
		return true
	case LockingOptimistic, LockingNone:
		return false
	default:
		return o.Lock
	}
}

// goOn opens a session whose lease could not be had, if the request or the policy wants that.
func (n namespace) goOn(ctx context.Context, id string, key Key, o OpenOptions, locked error) (Opened, error) {
	wanted := n.policy.OnLocked
	if o.OnLocked != "" {
		wanted = o.OnLocked
	}
	if wanted != OnLockedReadOnly && wanted != OnLockedGoOn {
		return Opened{}, locked
	}
	session, err := n.store.Read(ctx, key)
	return Opened{ID: id, Session: session, ReadOnly: wanted == OnLockedReadOnly}, err
}

// mayWrite refuses a change that the namespace's rule about leases and versions forbids.
func (n namespace) mayWrite(ifVersion, token uint64) error {
	switch {
	case n.policy.Locking == LockingLease && token == 0 && ifVersion != 0 && n.policy.OnLocked != OnLockedGoOn:
		return fmt.Errorf("%w: this namespace is written under a lease only", ErrConflict)
	case n.policy.Locking == LockingOptimistic && ifVersion == AnyVersion:
		return fmt.Errorf("%w: a write in this namespace names the version that it read", ErrInvalid)
	}
	return nil
}

// lock takes the lease of the session that was read under key, and reads it again: it may have changed, moved or ended
// while the request waited.
func (n namespace) lock(ctx context.Context, key Key, session Session, o OpenOptions) (Session, Lease, error) {
	ttl, wait := n.policy.LockTTL, n.policy.LockWait
	if o.LockTTL != 0 {
		ttl = o.LockTTL
	}
	if o.LockWait != 0 {
		wait = o.LockWait
	}
	if err := CheckDuration("lock ttl", ttl); err != nil {
		return Session{}, Lease{}, err
	}
	for began := time.Now(); ; {
		got, err := n.queue.acquire(ctx, session.Key, Lock{TTL: ttl}, wait-time.Since(began), n.policy.MaxWaiters)
		if err != nil {
			return Session{}, Lease{}, err
		}
		again, err := n.readUnder(ctx, key, session.Key, got)
		if err == nil && again.Key == session.Key {
			n.queue.saw(session.Key, got.lease.Token, again)
			return again, got.lease, nil
		}
		n.unlock(ctx, session.Key, got.lease.Token)
		if err != nil {
			return Session{}, Lease{}, err
		}
		session = again
	}
}

// readUnder reads the session that key leads to, unless the holder before has just left it here. An alias is looked at
// again: it may have ended.
func (n namespace) readUnder(ctx context.Context, key, at Key, got turn) (Session, error) {
	if got.session != nil && key == at {
		return *got.session, nil
	}
	return n.store.Read(ctx, key)
}

// unlock gives back a lease that came to nothing. If that fails it ends by itself.
func (n namespace) unlock(ctx context.Context, key Key, token uint64) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := n.queue.release(ctx, key, token); err != nil {
		n.log.Warn("a lease was not released and will run out", "session", key, "error", err)
	}
}

// Read implements [Sessions].
func (n namespace) Read(ctx context.Context, id string) (Session, error) {
	key, err := n.key(id)
	if err != nil {
		return Session{}, err
	}
	return n.read(ctx, key)
}

func (n namespace) read(ctx context.Context, key Key) (Session, error) {
	s, err := n.store.Read(ctx, key)
	if err != nil {
		return Session{}, err
	}
	return n.compressor.unpack(s)
}

// Write implements [Sessions].
func (n namespace) Write(ctx context.Context, id string, w WriteOptions) (uint64, error) {
	key, err := n.key(id)
	if err != nil {
		return 0, err
	}
	return n.write(ctx, key, w)
}

func (n namespace) write(ctx context.Context, key Key, w WriteOptions) (uint64, error) {
	if len(w.Payload) > n.policy.MaxPayload {
		return 0, fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, len(w.Payload), n.policy.MaxPayload)
	}
	if err := n.mayWrite(w.IfVersion, w.Token); err != nil {
		return 0, err
	}
	subject, err := n.subject(w.Subject)
	if err != nil {
		return 0, err
	}
	payload, encoding, err := n.compressor.pack(w.Payload, n.policy.Compress)
	if err != nil {
		return 0, err
	}
	change := Write{
		Payload: payload, Encoding: encoding, Idle: n.idle(w.Idle), Absolute: n.policy.Absolute, IfVersion: w.IfVersion, Token: w.Token, Release: w.Release,
		Namespace: n.name, Subject: subject,
	}
	if !w.Release || w.Token == 0 {
		return n.store.Write(ctx, key, change)
	}
	at, err := n.leasedAt(ctx, key, w.Token)
	if err != nil {
		return 0, err
	}
	return n.queue.finish(ctx, at, Pass{Token: w.Token, Write: &change})
}

// subject returns the key of a subject; the zero key of none.
func (n namespace) subject(name string) (Key, error) {
	switch {
	case name == "":
		return Key{}, nil
	case len(name) > MaxSubjectLength:
		return Key{}, fmt.Errorf("%w: a subject has at most %d bytes, this one has %d", ErrInvalid, MaxSubjectLength, len(name))
	}
	return NewSubject(n.name, name), nil
}

// Touch implements [Sessions].
func (n namespace) Touch(ctx context.Context, id string, o TouchOptions) error {
	key, err := n.key(id)
	if err != nil {
		return err
	}
	return n.touch(ctx, key, o)
}

func (n namespace) touch(ctx context.Context, key Key, o TouchOptions) error {
	idle := n.idle(o.Idle)
	change := Touch{
		Idle: idle, Create: o.Create, Absolute: n.policy.Absolute, Namespace: n.name, Coarse: max(0, min(n.policy.TouchCoarse, idle/2)),
	}
	if o.Release == 0 {
		return n.store.Touch(ctx, key, change)
	}
	at, err := n.leasedAt(ctx, key, o.Release)
	if err != nil {
		return err
	}
	_, err = n.queue.finish(ctx, at, Pass{Token: o.Release, Touch: &change})
	return err
}

func (n namespace) idle(asked time.Duration) time.Duration {
	if asked == 0 {
		return n.policy.Idle
	}
	return asked
}

// Destroy implements [Sessions].
func (n namespace) Destroy(ctx context.Context, id string) error {
	key, err := n.key(id)
	if err != nil {
		return err
	}
	return n.store.Destroy(ctx, key, n.policy.Tombstone)
}

// Regenerate implements [Sessions].
func (n namespace) Regenerate(ctx context.Context, id string, o RegenerateOptions) (string, Session, error) {
	key, err := n.key(id)
	if err != nil {
		return "", Session{}, err
	}
	if err := n.mayWrite(1, o.Token); err != nil {
		return "", Session{}, err
	}
	before := key
	if o.Token != 0 { // the lease is that of the session's own key, not of an alias
		s, err := n.store.Read(ctx, key)
		if err != nil {
			return "", Session{}, err
		}
		before = s.Key
	}
	newID := NewID()
	r := Regenerate{Grace: n.policy.Grace, Tombstone: n.policy.Tombstone, Token: o.Token}
	if o.Drop {
		r.Grace = 0
	}
	s, err := n.store.Regenerate(ctx, key, NewKey(n.name, newID), r)
	if err != nil {
		return "", Session{}, err
	}
	n.queue.move(before, s.Key, o.Token, n.policy.LockTTL)
	if s, err = n.compressor.unpack(s); err != nil {
		return "", Session{}, err
	}
	return newID, s, nil
}

// Close implements [Sessions].
func (n namespace) Close(ctx context.Context, id string, token uint64) error {
	key, err := n.key(id)
	if err != nil || token == 0 {
		return err
	}
	at, err := n.leasedAt(ctx, key, token)
	if err != nil {
		return err
	}
	// Regenerate moves leases, also through another sessiond and meanwhile, so look again where the session is.
	for {
		if err := n.queue.release(ctx, at, token); err != nil {
			return err
		}
		next, err := n.resolve(ctx, key)
		if err != nil || next == at || next == key {
			return err
		}
		at = next
	}
}

// leasedAt returns the key that a lease is of: the one given, or that of the session it leads to, if the lease was taken by
// an alias or through another sessiond.
func (n namespace) leasedAt(ctx context.Context, key Key, token uint64) (Key, error) {
	if n.queue.holds(key, token) {
		return key, nil
	}
	return n.resolve(ctx, key)
}

// resolve returns the key that the session lives under: the one given, if it is not found.
func (n namespace) resolve(ctx context.Context, key Key) (Key, error) {
	s, err := n.store.Read(ctx, key)
	switch {
	case err == nil:
		return s.Key, nil
	case errors.Is(err, ErrNotFound):
		return key, nil
	}
	return key, err
}

// GC implements [Sessions].
func (n namespace) GC(ctx context.Context) (int, error) { return n.Service.GC(ctx) }
