package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

// RunSessions runs the suite that every [sessionstore.Sessions] must pass, whether it is in this process or at the other
// end of a network. open makes the sessions of a namespace over an empty store that takes the time from the given
// clock, under the given policy, and has everything closed by the test's Cleanup.
func RunSessions(t *testing.T, open func(t testing.TB, clock sessionstore.Clock, policy sessionstore.Policy) sessionstore.Sessions) {
	for _, group := range [][]sessionsTest{use, ends, moves, leases, throngs} {
		for _, x := range group {
			t.Run(x.name, func(t *testing.T) {
				v := &visitor{T: t, clock: newClock()}
				var stop context.CancelFunc
				v.ctx, stop = context.WithTimeout(context.Background(), 2*time.Minute)
				t.Cleanup(stop)
				v.sessions = open(t, v.clock.now, sessionsPolicy())
				x.run(v)
			})
		}
	}
}

// absolute is the absolute time-out of the suite's policy.
const absolute = 5 * time.Minute

// smallPayload is the payload limit of the suite's policy.
const smallPayload = 100_000

func sessionsPolicy() sessionstore.Policy {
	p := sessionstore.DefaultPolicy()
	p.Idle, p.Absolute, p.Grace, p.Tombstone = idle, absolute, grace, grave
	p.LockTTL, p.LockWait, p.MaxPayload = ttl, 30*time.Second, smallPayload
	return p
}

// sessionsTest is one promise of [sessionstore.Sessions].
type sessionsTest struct {
	name string
	run  func(v *visitor)
}

// visitor is one test's sessions and clock, with operations that fail the test on an unexpected outcome.
type visitor struct {
	*testing.T
	ctx      context.Context
	clock    *clock
	sessions sessionstore.Sessions
}

func (v *visitor) want(what string, err, expected error) {
	v.Helper()
	if !errors.Is(err, expected) || (expected == nil && err != nil) {
		v.Fatalf("%s: got error %v, want %v", what, err, expected)
	}
}

// fresh opens a session for a visitor without an id.
func (v *visitor) fresh() string {
	v.Helper()
	o, err := v.sessions.Open(v.ctx, "", sessionstore.OpenOptions{})
	v.want("open", err, nil)
	if !o.New || sessionstore.CheckID(o.ID) != nil || o.Lease.Token != 0 || o.Session.Version != 0 || len(o.Session.Payload) != 0 {
		v.Fatalf("opened %+v", o)
	}
	return o.ID
}

// login makes a session with a payload and returns its id.
func (v *visitor) login(payload string) string {
	v.Helper()
	id := v.fresh()
	if got := v.write(id, payload, 0); got != 1 {
		v.Fatalf("first version is %d, want 1", got)
	}
	return id
}

func (v *visitor) write(id, payload string, ifVersion uint64) uint64 {
	v.Helper()
	got, err := v.sessions.Write(v.ctx, id, sessionstore.WriteOptions{Payload: []byte(payload), IfVersion: ifVersion})
	v.want("write", err, nil)
	return got
}

func (v *visitor) refused(id string, w sessionstore.WriteOptions, expected error) {
	v.Helper()
	_, err := v.sessions.Write(v.ctx, id, w)
	v.want("write", err, expected)
}

func (v *visitor) read(id, payload string) sessionstore.Session {
	v.Helper()
	s, err := v.sessions.Read(v.ctx, id)
	v.want("read", err, nil)
	if !bytes.Equal(s.Payload, []byte(payload)) {
		v.Fatalf("read %d bytes %.40q, want %d bytes %.40q", len(s.Payload), s.Payload, len(payload), payload)
	}
	return s
}

func (v *visitor) missing(id string) {
	v.Helper()
	_, err := v.sessions.Read(v.ctx, id)
	v.want("read", err, sessionstore.ErrNotFound)
}

// lock opens a session that exists with its lease.
func (v *visitor) lock(id string) sessionstore.Opened {
	v.Helper()
	o, err := v.sessions.Open(v.ctx, id, sessionstore.OpenOptions{Lock: true})
	v.want("open with lock", err, nil)
	if o.New || o.ID != id || o.Lease.Token == 0 {
		v.Fatalf("opened %+v", o)
	}
	return o
}

func (v *visitor) close(id string, token uint64) {
	v.Helper()
	v.want("close", v.sessions.Close(v.ctx, id, token), nil)
}

var use = []sessionsTest{
	{"OpenStoresNothing", func(v *visitor) {
		a, b := v.fresh(), v.fresh()
		if a == b {
			v.Fatal("two visitors got the same id")
		}
		v.missing(a)
	}},

	{"StrictOpen", func(v *visitor) {
		madeUp := strings.Repeat("attacker", 4)
		for _, lock := range []bool{false, true} {
			o, err := v.sessions.Open(v.ctx, madeUp, sessionstore.OpenOptions{Lock: lock})
			v.want("open", err, nil)
			if !o.New || o.ID == madeUp || sessionstore.CheckID(o.ID) != nil || o.Lease.Token != 0 {
				v.Fatalf("an id that someone made up was opened as %+v", o)
			}
		}
		v.missing(madeUp)
	}},

	{"OpenOfAKnownID", func(v *visitor) {
		id := v.login("one")
		v.write(id, "two", 1)
		o, err := v.sessions.Open(v.ctx, id, sessionstore.OpenOptions{})
		v.want("open", err, nil)
		if o.New || o.ID != id || o.Lease.Token != 0 || string(o.Session.Payload) != "two" || o.Session.Version != 2 {
			v.Fatalf("opened %+v", o)
		}
	}},

	{"MalformedIDs", func(v *visitor) {
		for _, id := range []string{"short", strings.Repeat("a", 257), strings.Repeat("a", 10_000), "../../../../../../etc/passwd", "aaaaaaaaaaaaaaaaaaaaaa\x00", "aaaaaaaaaaaaaaaaaaaaaa?x=y", "aaaaaaaaaaaaaaaaaaaaaa\r\nX: y", "%2e%2e%2faaaaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaaaé"} {
			_, err := v.sessions.Open(v.ctx, id, sessionstore.OpenOptions{})
			v.want("open", err, sessionstore.ErrInvalid)
			v.invalid(id)
		}
		v.invalid("")
	}},

	{"IDsOfAllForms", func(v *visitor) {
		for _, id := range []string{strings.Repeat("a", 22), strings.Repeat("Z", 256), "0123456789,-abcdefABCDEF", strings.Repeat(",", 30), strings.Repeat("-", 30)} {
			v.write(id, id, 0)
			v.read(id, id)
			v.want("touch", v.sessions.Touch(v.ctx, id, sessionstore.TouchOptions{}), nil)
			v.want("destroy", v.sessions.Destroy(v.ctx, id), nil)
		}
	}},

	{"WriteThenRead", func(v *visitor) {
		id := v.login("one")
		now := v.clock.now()
		s := v.read(id, "one")
		if s.Version != 1 || !s.Created.Equal(now) || !s.Expires.Equal(now.Add(idle)) || !s.Deadline.Equal(now.Add(absolute)) {
			v.Fatalf("read %+v", s)
		}
		v.clock.advance(time.Second)
		if got := v.write(id, "two", 1); got != 2 {
			v.Fatalf("second version is %d", got)
		}
		if s := v.read(id, "two"); s.Version != 2 || !s.Created.Equal(now) || !s.Expires.Equal(now.Add(time.Second+idle)) {
			v.Fatalf("read %+v", s)
		}
	}},

	{"PayloadsOfAllSizes", func(v *visitor) {
		id, version := v.fresh(), uint64(0)
		for _, size := range []int{0, 1, 2 << 10, 4096, 30_001, 65_536, smallPayload, 0} {
			version = v.write(id, noise(size), version)
			v.read(id, noise(size))
		}
		v.refused(id, sessionstore.WriteOptions{Payload: make([]byte, smallPayload+1), IfVersion: version}, sessionstore.ErrTooLarge)
		v.refused(id, sessionstore.WriteOptions{Payload: make([]byte, sessionstore.MaxPayload+1), IfVersion: version}, sessionstore.ErrTooLarge)
		v.read(id, "")
	}},

	{"PayloadIsBytes", func(v *visitor) {
		for _, payload := range []string{"\x00", "\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "\xff\xfe\x80", `{"title":"conflict","status":412}`, "0\r\n\r\n", "日本語"} {
			v.read(v.login(payload), payload)
		}
	}},

	{"PayloadsBelongToTheCaller", func(v *visitor) {
		id := v.fresh()
		mine := []byte("mine")
		_, err := v.sessions.Write(v.ctx, id, sessionstore.WriteOptions{Payload: mine})
		v.want("write", err, nil)
		copy(mine, "XXXX")
		first := v.read(id, "mine")
		v.read(v.login("yours"), "yours")
		if string(first.Payload) != "mine" {
			v.Fatalf("a later answer overwrote an earlier one: %q", first.Payload)
		}
	}},

	{"CompareAndSet", func(v *visitor) {
		id := v.login("one")
		for _, version := range []uint64{0, 2} {
			v.refused(id, sessionstore.WriteOptions{IfVersion: version}, sessionstore.ErrConflict)
		}
		v.write(id, "two", 1)
		v.refused(id, sessionstore.WriteOptions{IfVersion: 1}, sessionstore.ErrConflict)
		v.read(id, "two")
		v.refused(v.fresh(), sessionstore.WriteOptions{IfVersion: 1}, sessionstore.ErrNotFound)
	}},

	{"LastWriterWins", func(v *visitor) {
		id := v.fresh()
		for want := uint64(1); want < 4; want++ {
			if got := v.write(id, "again", sessionstore.AnyVersion); got != want {
				v.Fatalf("version %d, want %d", got, want)
			}
		}
	}},

	{"Subject", func(v *visitor) {
		id := v.fresh()
		for i, subject := range []string{"alice@example.com", "Zoë / 日本 %20\x00\r\n", strings.Repeat("é", sessionstore.MaxSubjectLength/2), ""} {
			got, err := v.sessions.Write(v.ctx, id, sessionstore.WriteOptions{Payload: []byte("hers"), IfVersion: uint64(i), Subject: subject})
			v.want("write", err, nil)
			if got != uint64(i)+1 {
				v.Fatalf("version %d, want %d", got, i+1)
			}
		}
		v.refused(id, sessionstore.WriteOptions{IfVersion: 4, Subject: strings.Repeat("x", sessionstore.MaxSubjectLength+1)}, sessionstore.ErrInvalid)
		v.read(id, "hers")
	}},

	{"CancelledContext", func(v *visitor) {
		id := v.login("kept")
		ctx, cancel := context.WithCancel(v.ctx)
		cancel()
		_, err := v.sessions.Read(ctx, id)
		v.want("read", err, context.Canceled)
		_, err = v.sessions.Write(ctx, id, sessionstore.WriteOptions{IfVersion: 1})
		v.want("write", err, context.Canceled)
		v.want("destroy", v.sessions.Destroy(ctx, id), context.Canceled)
		v.read(id, "kept")
	}},
}

// invalid tries every operation but Open with a malformed id.
func (v *visitor) invalid(id string) {
	v.Helper()
	_, err := v.sessions.Read(v.ctx, id)
	v.want("read", err, sessionstore.ErrInvalid)
	v.refused(id, sessionstore.WriteOptions{}, sessionstore.ErrInvalid)
	v.want("touch", v.sessions.Touch(v.ctx, id, sessionstore.TouchOptions{Create: true}), sessionstore.ErrInvalid)
	v.want("destroy", v.sessions.Destroy(v.ctx, id), sessionstore.ErrInvalid)
	_, _, err = v.sessions.Regenerate(v.ctx, id, sessionstore.RegenerateOptions{})
	v.want("regenerate", err, sessionstore.ErrInvalid)
	v.want("close", v.sessions.Close(v.ctx, id, 0), sessionstore.ErrInvalid)
}

var ends = []sessionsTest{
	{"IdleTimeout", func(v *visitor) {
		id := v.login("gone soon")
		v.clock.advance(idle - time.Millisecond)
		v.read(id, "gone soon")
		v.clock.advance(time.Millisecond)
		v.missing(id)
		o, err := v.sessions.Open(v.ctx, id, sessionstore.OpenOptions{})
		v.want("open", err, nil)
		if !o.New || o.ID == id {
			v.Fatalf("an expired session was opened as %+v", o)
		}
		v.refused(id, sessionstore.WriteOptions{IfVersion: 1}, sessionstore.ErrNotFound)
	}},

	{"IdleOfOneSession", func(v *visitor) {
		id := v.fresh()
		_, err := v.sessions.Write(v.ctx, id, sessionstore.WriteOptions{Payload: []byte("longer"), Idle: 2 * idle})
		v.want("write", err, nil)
		v.clock.advance(2*idle - time.Millisecond)
		v.read(id, "longer")
		v.want("touch", v.sessions.Touch(v.ctx, id, sessionstore.TouchOptions{Idle: 2 * time.Millisecond}), nil)
		v.clock.advance(2 * time.Millisecond)
		v.missing(id)
		for _, wrong := range []time.Duration{-time.Second, sessionstore.MaxDuration + time.Millisecond} {
			v.refused(id, sessionstore.WriteOptions{IfVersion: sessionstore.AnyVersion, Idle: wrong}, sessionstore.ErrInvalid)
			v.want("touch", v.sessions.Touch(v.ctx, id, sessionstore.TouchOptions{Create: true, Idle: wrong}), sessionstore.ErrInvalid)
		}
	}},

	{"AbsoluteTimeout", func(v *visitor) {
		id := v.login("kept alive")
		for range int(absolute/idle)*2 - 1 {
			v.clock.advance(idle / 2)
			v.want("touch", v.sessions.Touch(v.ctx, id, sessionstore.TouchOptions{}), nil)
		}
		v.clock.advance(idle/2 - time.Millisecond)
		v.read(id, "kept alive")
		v.clock.advance(time.Millisecond)
		v.missing(id)
	}},

	{"Touch", func(v *visitor) {
		id := v.login("same")
		v.clock.advance(idle - time.Second)
		v.want("touch", v.sessions.Touch(v.ctx, id, sessionstore.TouchOptions{}), nil)
		if s := v.read(id, "same"); s.Version != 1 || !s.Expires.Equal(v.clock.now().Add(idle)) {
			v.Fatalf("read %+v", s)
		}
		other := v.fresh()
		v.want("touch", v.sessions.Touch(v.ctx, other, sessionstore.TouchOptions{}), sessionstore.ErrNotFound)
		v.want("touch", v.sessions.Touch(v.ctx, other, sessionstore.TouchOptions{Create: true}), nil)
		v.read(other, "")
	}},

	{"Destroy", func(v *visitor) {
		id := v.login("logged in")
		for range 2 {
			v.want("destroy", v.sessions.Destroy(v.ctx, id), nil)
			v.missing(id)
		}
		for _, version := range []uint64{0, 1, sessionstore.AnyVersion} {
			v.refused(id, sessionstore.WriteOptions{IfVersion: version}, sessionstore.ErrDestroyed)
		}
		v.want("touch", v.sessions.Touch(v.ctx, id, sessionstore.TouchOptions{Create: true}), sessionstore.ErrDestroyed)
		v.want("destroy of nothing", v.sessions.Destroy(v.ctx, v.fresh()), nil)
	}},

	{"GC", func(v *visitor) {
		for range 3 {
			v.login("old")
		}
		v.clock.advance(idle)
		n, err := v.sessions.GC(v.ctx)
		v.want("gc", err, nil)
		if n != 3 {
			v.Fatalf("collected %d of 3", n)
		}
	}},
}

var moves = []sessionsTest{
	{"Regenerate", func(v *visitor) {
		old := v.login("visitor")
		id, s, err := v.sessions.Regenerate(v.ctx, old, sessionstore.RegenerateOptions{})
		v.want("regenerate", err, nil)
		if id == old || sessionstore.CheckID(id) != nil || string(s.Payload) != "visitor" || s.Version != 1 {
			v.Fatalf("regenerated as %q %+v", id, s)
		}
		v.read(id, "visitor")
		v.clock.advance(grace - time.Millisecond)
		v.read(old, "visitor")
		v.write(old, "through the old id", 1)
		v.read(id, "through the old id")
		v.clock.advance(time.Millisecond)
		v.missing(old)
		v.read(id, "through the old id")
		v.refused(old, sessionstore.WriteOptions{IfVersion: sessionstore.AnyVersion}, sessionstore.ErrDestroyed)
	}},

	{"RegenerateAtLogin", func(v *visitor) {
		planted := v.login("visitor")
		id, _, err := v.sessions.Regenerate(v.ctx, planted, sessionstore.RegenerateOptions{Drop: true})
		v.want("regenerate", err, nil)
		v.missing(planted)
		v.refused(planted, sessionstore.WriteOptions{IfVersion: sessionstore.AnyVersion}, sessionstore.ErrDestroyed)
		v.read(id, "visitor")
	}},

	{"RegenerateOfNothing", func(v *visitor) {
		_, _, err := v.sessions.Regenerate(v.ctx, v.fresh(), sessionstore.RegenerateOptions{})
		v.want("regenerate", err, sessionstore.ErrNotFound)
		id := v.login("gone")
		v.want("destroy", v.sessions.Destroy(v.ctx, id), nil)
		_, _, err = v.sessions.Regenerate(v.ctx, id, sessionstore.RegenerateOptions{})
		v.want("regenerate", err, sessionstore.ErrDestroyed)
	}},

	{"LeaseMovesAlong", func(v *visitor) {
		old := v.login("held")
		token := v.lock(old).Lease.Token
		_, _, err := v.sessions.Regenerate(v.ctx, old, sessionstore.RegenerateOptions{Token: token + 1})
		v.want("regenerate under another's lease", err, sessionstore.ErrConflict)
		id, _, err := v.sessions.Regenerate(v.ctx, old, sessionstore.RegenerateOptions{Token: token})
		v.want("regenerate", err, nil)
		_, err = v.sessions.Open(v.ctx, id, sessionstore.OpenOptions{Lock: true, LockWait: -1})
		v.want("open of the new id", err, sessionstore.ErrLocked)
		_, err = v.sessions.Write(v.ctx, id, sessionstore.WriteOptions{Payload: []byte("moved"), IfVersion: 1, Token: token})
		v.want("write under the lease", err, nil)
		v.close(id, token)
		v.close(id, v.lock(id).Lease.Token)
	}},
}

var leases = []sessionsTest{
	{"LockExcludes", func(v *visitor) {
		id := v.login("one")
		held := v.lock(id)
		if string(held.Session.Payload) != "one" || !held.Lease.Until.Equal(v.clock.now().Add(ttl)) {
			v.Fatalf("opened %+v", held)
		}
		_, err := v.sessions.Open(v.ctx, id, sessionstore.OpenOptions{Lock: true, LockWait: -1})
		v.want("open without waiting", err, sessionstore.ErrLocked)
		_, err = v.sessions.Open(v.ctx, id, sessionstore.OpenOptions{Lock: true, LockWait: 20 * time.Millisecond})
		v.want("open with a short wait", err, sessionstore.ErrLocked)
		v.read(id, "one")
		v.close(id, held.Lease.Token)
		v.close(id, held.Lease.Token) // again: nothing
		v.close(id, 0)
		v.close(id, v.lock(id).Lease.Token)
	}},

	{"WaiterIsServed", func(v *visitor) {
		id := v.login("0")
		held := v.lock(id)
		got := make(chan sessionstore.Opened, 1)
		failed := make(chan error, 1)
		go func() {
			o, err := v.sessions.Open(v.ctx, id, sessionstore.OpenOptions{Lock: true, LockWait: time.Minute})
			if err != nil {
				failed <- err
				return
			}
			got <- o
		}()
		_, err := v.sessions.Write(v.ctx, id, sessionstore.WriteOptions{Payload: []byte("1"), IfVersion: 1, Token: held.Lease.Token})
		v.want("write under the lease", err, nil)
		v.close(id, held.Lease.Token)
		select {
		case o := <-got:
			if string(o.Session.Payload) != "1" || o.Lease.Token == held.Lease.Token {
				v.Fatalf("the waiter got %+v", o)
			}
			v.close(id, o.Lease.Token)
		case err := <-failed:
			v.Fatal(err)
		case <-v.ctx.Done():
			v.Fatal("the waiter was never served")
		}
	}},

	{"LastChangeReleases", func(v *visitor) {
		id := v.login("0")
		v.refused(id, sessionstore.WriteOptions{IfVersion: 1, Release: true}, sessionstore.ErrInvalid)
		token := v.lock(id).Lease.Token
		last := sessionstore.WriteOptions{IfVersion: 7, Token: token, Release: true}
		v.refused(id, last, sessionstore.ErrConflict)
		_, err := v.sessions.Open(v.ctx, id, sessionstore.OpenOptions{Lock: true, LockWait: -1})
		v.want("open after a write that was refused", err, sessionstore.ErrLocked)
		last.IfVersion, last.Payload = 1, []byte("1")
		_, err = v.sessions.Write(v.ctx, id, last)
		v.want("last write", err, nil)
		v.refused(id, last, sessionstore.ErrConflict)
		token = v.lock(id).Lease.Token
		v.want("last touch", v.sessions.Touch(v.ctx, id, sessionstore.TouchOptions{Release: token}), nil)
		o := v.lock(id)
		v.want("touch with a lease that is over", v.sessions.Touch(v.ctx, id, sessionstore.TouchOptions{Release: token}), nil)
		_, err = v.sessions.Open(v.ctx, id, sessionstore.OpenOptions{Lock: true, LockWait: -1})
		v.want("open", err, sessionstore.ErrLocked)

		newID, _, err := v.sessions.Regenerate(v.ctx, id, sessionstore.RegenerateOptions{Token: o.Lease.Token})
		v.want("regenerate", err, nil)
		_, err = v.sessions.Write(v.ctx, id, sessionstore.WriteOptions{Payload: []byte("2"), IfVersion: 2, Token: o.Lease.Token, Release: true})
		v.want("last write by the old id", err, nil)
		v.close(newID, v.lock(newID).Lease.Token)
	}},

	{"WaitersAreServedByLastChanges", func(v *visitor) {
		id := v.login("0")
		const waiters = 12
		var all sync.WaitGroup
		seen := make(chan string, waiters)
		for i := range waiters {
			all.Go(func() {
				o, err := v.sessions.Open(v.ctx, id, sessionstore.OpenOptions{Lock: true, LockWait: time.Minute})
				if err != nil {
					v.Errorf("open: %v", err)
					return
				}
				seen <- string(o.Session.Payload)
				token := o.Lease.Token
				n, _ := strconv.Atoi(string(o.Session.Payload))
				w := sessionstore.WriteOptions{Payload: []byte(strconv.Itoa(n + 1)), IfVersion: o.Session.Version, Token: token, Release: i%3 == 0}
				if _, err = v.sessions.Write(v.ctx, id, w); err == nil && i%3 == 1 {
					err = v.sessions.Touch(v.ctx, id, sessionstore.TouchOptions{Release: token})
				} else if err == nil && i%3 == 2 {
					err = v.sessions.Close(v.ctx, id, token)
				}
				if err != nil {
					v.Errorf("turn %d: %v", n, err)
				}
			})
		}
		all.Wait()
		for n := range waiters {
			if got := <-seen; got != strconv.Itoa(n) {
				v.Fatalf("turn %d found %q", n, got)
			}
		}
		v.read(id, strconv.Itoa(waiters))
	}},

	{"StaleHolderIsRefused", func(v *visitor) {
		id := v.login("one")
		stale := v.lock(id).Lease.Token
		v.clock.advance(ttl)
		fresh := v.lock(id).Lease.Token
		v.refused(id, sessionstore.WriteOptions{IfVersion: sessionstore.AnyVersion, Token: stale}, sessionstore.ErrConflict)
		v.close(id, stale) // not its lease any more: nothing
		_, err := v.sessions.Write(v.ctx, id, sessionstore.WriteOptions{Payload: []byte("two"), IfVersion: 1, Token: fresh})
		v.want("write", err, nil)
		v.close(id, fresh)
	}},

	{"LockTTLOfOneLease", func(v *visitor) {
		id := v.login("one")
		o, err := v.sessions.Open(v.ctx, id, sessionstore.OpenOptions{Lock: true, LockTTL: 2 * ttl})
		v.want("open", err, nil)
		if !o.Lease.Until.Equal(v.clock.now().Add(2 * ttl)) {
			v.Fatalf("lease until %v", o.Lease.Until)
		}
		v.close(id, o.Lease.Token)
		_, err = v.sessions.Open(v.ctx, id, sessionstore.OpenOptions{Lock: true, LockTTL: -time.Second})
		v.want("open", err, sessionstore.ErrInvalid)
	}},

	{"WaitEndsWithTheContext", func(v *visitor) {
		id := v.login("one")
		held := v.lock(id)
		ctx, cancel := context.WithTimeout(v.ctx, 30*time.Millisecond)
		defer cancel()
		_, err := v.sessions.Open(ctx, id, sessionstore.OpenOptions{Lock: true, LockWait: time.Minute})
		v.want("open", err, context.DeadlineExceeded)
		v.close(id, held.Lease.Token)
	}},
}

// throng lets workers do one thing each at once, a number of times, and fails the test with their first error.
func (v *visitor) throng(workers, times int, one func() error) {
	v.Helper()
	failed := make(chan error, workers)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range times {
				if err := one(); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	for err := range failed {
		v.Fatal(err)
	}
}

var throngs = []sessionsTest{
	{"CountUnderLock", func(v *visitor) {
		id := v.login("0")
		v.throng(8, 10, func() error {
			o, err := v.sessions.Open(v.ctx, id, sessionstore.OpenOptions{Lock: true})
			if err != nil {
				return fmt.Errorf("open: %w", err)
			}
			n, err := strconv.Atoi(string(o.Session.Payload))
			if err != nil {
				return err
			}
			_, err = v.sessions.Write(v.ctx, id, sessionstore.WriteOptions{Payload: strconv.AppendInt(nil, int64(n)+1, 10), IfVersion: o.Session.Version, Token: o.Lease.Token})
			if err != nil {
				return fmt.Errorf("write: %w", err)
			}
			return v.sessions.Close(v.ctx, id, o.Lease.Token)
		})
		v.read(id, "80")
	}},

	{"CountByVersion", func(v *visitor) {
		id := v.login("0")
		v.throng(4, 20, func() error {
			for {
				s, err := v.sessions.Read(v.ctx, id)
				if err != nil {
					return fmt.Errorf("read: %w", err)
				}
				n, err := strconv.Atoi(string(s.Payload))
				if err != nil {
					return err
				}
				_, err = v.sessions.Write(v.ctx, id, sessionstore.WriteOptions{Payload: strconv.AppendInt(nil, int64(n)+1, 10), IfVersion: s.Version})
				if !errors.Is(err, sessionstore.ErrConflict) {
					return err
				}
			}
		})
		v.read(id, "80")
	}},

	{"VisitorsAtOnce", func(v *visitor) {
		v.throng(16, 5, func() error {
			o, err := v.sessions.Open(v.ctx, "", sessionstore.OpenOptions{})
			if err != nil {
				return fmt.Errorf("open: %w", err)
			}
			if _, err := v.sessions.Write(v.ctx, o.ID, sessionstore.WriteOptions{Payload: []byte(o.ID)}); err != nil {
				return fmt.Errorf("write: %w", err)
			}
			s, err := v.sessions.Read(v.ctx, o.ID)
			if err != nil {
				return fmt.Errorf("read: %w", err)
			}
			if string(s.Payload) != o.ID {
				return fmt.Errorf("read another visitor's payload")
			}
			return v.sessions.Destroy(v.ctx, o.ID)
		})
	}},
}
