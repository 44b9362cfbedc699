package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/memory"
)

// testModel runs random sequences of operations against the store and against the memory store, and compares what both
// answer. Versions may differ where one has collected the remains of a session and the other has not, so each side is
// asked with the versions that it gave itself.
func testModel(t *testing.T, open func(testing.TB, sessionstore.Clock) sessionstore.Store) {
	f := newFixture(t, func(t testing.TB, c sessionstore.Clock) []sessionstore.Store {
		return []sessionstore.Store{open(t, c)}
	})
	model := memory.New(f.clock.now)
	rapid.Check(t, func(r *rapid.T) {
		m := &machine{f: f, sides: [2]*side{newSide(f.store), newSide(model)}}
		for range 5 {
			m.keys = append(m.keys, newKey())
		}
		m.users = []sessionstore.Key{{}, newKey(), newKey()}
		r.Repeat(map[string]func(*rapid.T){
			"read": m.read, "write": m.write, "touch": m.touch, "destroy": m.destroy, "regenerate": m.regenerate,
			"lock": m.lock, "unlock": m.unlock, "leased": m.leased, "gc": m.gc, "wait": m.wait,
			"walk": m.walk, "destroy subject": m.destroySubject, "import": m.take,
		})
	})
}

// machine drives the store and the model side by side.
type machine struct {
	f     *fixture
	keys  []sessionstore.Key
	users []sessionstore.Key // subjects of sessions; the first is none
	sides [2]*side           // the store, the model

	imported uint64 // the latest version that was imported
}

// side is one of the two stores and what it has told so far.
type side struct {
	store    sessionstore.Store
	versions map[sessionstore.Key]uint64
	leases   map[sessionstore.Key]sessionstore.Lease
}

func newSide(s sessionstore.Store) *side {
	return &side{store: s, versions: map[sessionstore.Key]uint64{}, leases: map[sessionstore.Key]sessionstore.Lease{}}
}

// both runs an operation on each side; what they return must be equal.
func (m *machine) both(r *rapid.T, op string, run func(s *side) (string, error)) {
	var got [2]string
	for i, s := range m.sides {
		value, err := run(s)
		got[i] = value + class(err)
	}
	if got[0] != got[1] {
		r.Fatalf("%s: the store says %q, the model %q", op, got[0], got[1])
	}
}

func class(err error) string {
	if err == nil {
		return ""
	}
	for _, e := range []error{sessionstore.ErrNotFound, sessionstore.ErrConflict, sessionstore.ErrLocked, sessionstore.ErrDestroyed,
		sessionstore.ErrTooLarge, sessionstore.ErrInvalid} {
		if errors.Is(err, e) {
			return " error: " + e.Error()
		}
	}
	return " unexpected error: " + err.Error()
}

func (m *machine) key(r *rapid.T, name string) sessionstore.Key {
	return m.keys[rapid.IntRange(0, len(m.keys)-1).Draw(r, name)]
}

func duration(r *rapid.T) time.Duration {
	return time.Duration(rapid.SampledFrom([]int{1, 1000, 30_000, 3_600_000}).Draw(r, "ms")) * time.Millisecond
}

func (m *machine) read(r *rapid.T) {
	key := m.key(r, "key")
	m.both(r, "read", func(s *side) (string, error) {
		x, err := s.store.Read(m.f.ctx, key)
		if err == nil {
			s.versions[key] = x.Version
		}
		return fmt.Sprint(x.Key, len(x.Payload), bytes.Equal(x.Payload, nil), x.Created.UnixMilli(), x.Expires.UnixMilli(), x.Deadline.UnixMilli(),
			x.Namespace, x.Subject, x.Encoding), err
	})
}

func (m *machine) write(r *rapid.T) {
	key := m.key(r, "key")
	w := sessionstore.Write{
		Payload:  []byte(noise(rapid.SampledFrom([]int{0, 10, 2000, 40_000}).Draw(r, "size"))),
		Idle:     duration(r),
		Absolute: rapid.SampledFrom([]time.Duration{0, time.Second, time.Hour}).Draw(r, "absolute"),

		Namespace: rapid.SampledFrom([]string{"", "shop"}).Draw(r, "namespace"),
		Subject:   rapid.SampledFrom(m.users).Draw(r, "subject"),
		Encoding:  rapid.SampledFrom([]sessionstore.Encoding{sessionstore.Plain, sessionstore.Zstd}).Draw(r, "encoding"),
	}
	mode := rapid.SampledFrom([]string{"create", "last read", "stale", "any"}).Draw(r, "version")
	leased, release := rapid.Bool().Draw(r, "leased"), rapid.Bool().Draw(r, "release")
	m.both(r, "write", func(s *side) (string, error) {
		w := w
		switch mode {
		case "last read":
			x, err := s.store.Read(m.f.ctx, key)
			if w.IfVersion = x.Version; err != nil {
				w.IfVersion = 1
			}
		case "stale":
			w.IfVersion = s.versions[key] + 1000
		case "any":
			w.IfVersion = sessionstore.AnyVersion
		}
		if leased {
			w.Token = s.leases[key].Token
			w.Release = release
		}
		v, err := s.store.Write(m.f.ctx, key, w)
		if err == nil {
			s.versions[key] = v
		}
		return "", err
	})
}

func (m *machine) touch(r *rapid.T) {
	key, t := m.key(r, "key"), sessionstore.Touch{Idle: duration(r), Create: rapid.Bool().Draw(r, "create")}
	t.Coarse = t.Idle / time.Duration(rapid.SampledFrom([]int{2, 10, 1 << 40}).Draw(r, "coarse")) // mostly 0 for short ones
	release := rapid.Bool().Draw(r, "release")
	m.both(r, "touch", func(s *side) (string, error) {
		t := t
		if release {
			t.Release = s.leases[key].Token
		}
		return "", s.store.Touch(m.f.ctx, key, t)
	})
}

func (m *machine) destroy(r *rapid.T) {
	key, d := m.key(r, "key"), duration(r)
	m.both(r, "destroy", func(s *side) (string, error) { return "", s.store.Destroy(m.f.ctx, key, d) })
}

func (m *machine) regenerate(r *rapid.T) {
	old, new := m.key(r, "old"), m.key(r, "new")
	g := sessionstore.Regenerate{Grace: rapid.SampledFrom([]time.Duration{0, time.Second, time.Hour}).Draw(r, "grace"), Tombstone: duration(r)}
	leased := rapid.Bool().Draw(r, "leased")
	m.both(r, "regenerate", func(s *side) (string, error) {
		g := g
		if leased {
			g.Token = s.leases[old].Token
		}
		x, err := s.store.Regenerate(m.f.ctx, old, new, g)
		if err != nil {
			return "", err
		}
		s.versions[new] = x.Version
		if g.Token != 0 {
			s.leases[new] = s.leases[old]
		}
		return fmt.Sprint(x.Key, len(x.Payload), x.Expires.UnixMilli()), nil
	})
}

func (m *machine) lock(r *rapid.T) {
	key, l := m.key(r, "key"), sessionstore.Lock{TTL: duration(r), Owner: rapid.Uint64Range(0, 2).Draw(r, "owner")}
	m.both(r, "lock", func(s *side) (string, error) {
		l, err := s.store.Lock(m.f.ctx, key, l)
		if err != nil {
			return "", err
		}
		s.leases[key] = l
		return fmt.Sprint(l.Until.UnixMilli()), nil
	})
}

func (m *machine) unlock(r *rapid.T) {
	key := m.key(r, "key")
	m.both(r, "unlock", func(s *side) (string, error) { return "", s.store.Unlock(m.f.ctx, key, s.leases[key].Token) })
}

func (m *machine) leased(r *rapid.T) {
	key := m.key(r, "key")
	m.both(r, "leased", func(s *side) (string, error) {
		l, err := s.store.Leased(m.f.ctx, key)
		return fmt.Sprint(l.Owner, l.Until.UnixMilli()), err
	})
}

// bare returns the side's store with its optional interfaces.
func (m *machine) bare(s *side) sessionstore.Store {
	if w, ok := s.store.(*witness); ok {
		return w.Store
	}
	return s.store
}

// walk goes through all sessions of one of the subjects. (What there is besides grows from one machine to the next.)
func (m *machine) walk(r *rapid.T) {
	w := sessionstore.Walk{
		Limit:     rapid.IntRange(1, 3).Draw(r, "limit"),
		Namespace: rapid.SampledFrom([]string{"", "shop"}).Draw(r, "namespace"),
		Subject:   rapid.SampledFrom(m.users[1:]).Draw(r, "subject"),
		Payload:   rapid.Bool().Draw(r, "payload"),
	}
	m.both(r, "walk", func(s *side) (string, error) {
		w, found := w, []string{}
		for {
			page, err := m.bare(s).(sessionstore.Walker).Walk(m.f.ctx, w)
			if err != nil {
				return "", err
			}
			for _, x := range page.Sessions {
				found = append(found, fmt.Sprint(x.Key, len(x.Payload), x.Expires.UnixMilli(), x.Namespace, x.Subject, x.Encoding))
			}
			if w.After = page.Next; w.After == "" {
				slices.Sort(found) // each store has its own order
				return fmt.Sprint(found), nil
			}
		}
	})
}

func (m *machine) destroySubject(r *rapid.T) {
	subject, d := rapid.SampledFrom(m.users).Draw(r, "subject"), duration(r)
	m.both(r, "destroy subject", func(s *side) (string, error) {
		n, err := m.bare(s).(sessionstore.SubjectStore).DestroySubject(m.f.ctx, subject, d)
		return fmt.Sprint(n), err
	})
}

// take imports a session of a version far above or below all others.
func (m *machine) take(r *rapid.T) {
	now := m.f.clock.now()
	x := sessionstore.Session{
		Key:     m.key(r, "key"),
		Payload: []byte(noise(rapid.SampledFrom([]int{0, 10, 40_000}).Draw(r, "size"))),
		Created: now, Expires: now.Add(duration(r)),
		Namespace: "shop",
		Subject:   rapid.SampledFrom(m.users).Draw(r, "subject"),
	}
	newer, replace := rapid.Bool().Draw(r, "newer"), rapid.Bool().Draw(r, "replace")
	m.both(r, "import", func(s *side) (string, error) {
		x := x
		if x.Version = 1; newer {
			m.imported += 1 << 32 // above whatever writes have made of the one before
			x.Version = m.imported
		} else if _, err := s.store.Read(m.f.ctx, x.Key); err != nil {
			return "", nil // where remains lie on one side only, the sides differ
		}
		err := m.bare(s).(sessionstore.Importer).Import(m.f.ctx, x, replace)
		if w, ok := s.store.(*witness); ok && err == nil {
			w.log.begins(x.Key)
		}
		return "", err
	})
}

// gc collects on both sides; how much each has to collect depends on how coarse its index is.
func (m *machine) gc(r *rapid.T) {
	m.both(r, "gc", func(s *side) (string, error) {
		_, err := s.store.GC(m.f.ctx, 1000)
		return "", err
	})
}

func (m *machine) wait(r *rapid.T) {
	m.f.clock.advance(duration(r))
}
