package ndb_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/rig/ndbcluster"
	"github.com/lvsession/lvsession/schema"
	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/ndb"
)

// counter is a user that counts in a session of their own, as a page does: read, then write one more. It knows what was
// acknowledged, and whether the last outcome was unknown.
type counter struct {
	key          sessionstore.Key
	leased       bool // write under a lease, last writer wins; otherwise on the version that was read
	padding      int  // bytes behind the number, for payloads with chunks
	regenerating bool // take a new id every few counts

	acknowledged int
	unknown      int
	unavailable  int
	cause        error // of the last one
	lost         error
}

// count counts until stop is closed or a promise is broken.
func (c *counter) count(ctx context.Context, s sessionstore.Store, stop <-chan struct{}, done *atomic.Int64) {
	for c.lost == nil {
		select {
		case <-stop:
			return
		default:
		}
		err := c.request(ctx, s, done)
		switch {
		case errors.Is(err, sessionstore.ErrUnavailable):
			c.unavailable++
			c.cause = err
		case errors.Is(err, sessionstore.ErrLocked): // our own lease, if the answer to Lock or Unlock was lost
		case err != nil:
			c.lost = fmt.Errorf("after %d acknowledged counts: %w", c.acknowledged, err)
		}
	}
}

// request counts once.
func (c *counter) request(ctx context.Context, s sessionstore.Store, done *atomic.Int64) error {
	w := sessionstore.Write{Idle: time.Hour, IfVersion: sessionstore.AnyVersion}
	if c.leased {
		l, err := s.Lock(ctx, c.key, sessionstore.Lock{TTL: 200 * time.Millisecond})
		if err != nil {
			return err
		}
		defer s.Unlock(ctx, c.key, l.Token)
		w.Token = l.Token
	}
	session, err := s.Read(ctx, c.key)
	if err != nil && !(errors.Is(err, sessionstore.ErrNotFound) && c.acknowledged == 0) {
		return err
	}
	n := number(session.Payload)
	if n != c.acknowledged && n != c.acknowledged+c.unknown {
		return fmt.Errorf("the session counts %d", n)
	}
	c.acknowledged, c.unknown = n, 0
	if !c.leased {
		w.IfVersion = session.Version
	}
	w.Payload = append([]byte(strconv.Itoa(n+1)+" "), make([]byte, c.padding)...)
	switch _, err := s.Write(ctx, c.key, w); {
	case errors.Is(err, sessionstore.ErrUnavailable):
		c.unknown = 1
		return err
	case err != nil:
		return err // a conflict, say: nobody can have caused it but a lost write of ours
	}
	c.acknowledged++
	done.Add(1)
	if c.regenerating && n%5 == 0 {
		next := sessionstore.NewKey("x", sessionstore.NewID())
		if _, err := s.Regenerate(ctx, c.key, next, sessionstore.Regenerate{Grace: time.Hour, Tombstone: time.Hour}); err != nil {
			return err // the old id stays good, whether it was regenerated or not
		}
		c.key = next
	}
	return nil
}

func number(payload []byte) int {
	digits, _, _ := strings.Cut(string(payload), " ")
	n, _ := strconv.Atoi(digits)
	return n
}

// load runs counters against the store until disturb returns, and then until each has counted on. It checks that no
// acknowledged count is lost and none counted twice, and returns how many answers were "unavailable".
func load(t *testing.T, s sessionstore.Store, users int, disturb func(progress func(int64))) (unavailable int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var done atomic.Int64
	stop := make(chan struct{})
	var all sync.WaitGroup
	counters := make([]counter, users)
	for i := range counters {
		counters[i] = counter{key: sessionstore.NewKey("x", sessionstore.NewID()), leased: i%2 == 1, regenerating: i%3 == 1}
		if i%4 == 2 {
			counters[i].padding = 60_000
		}
		all.Go(func() { counters[i].count(ctx, s, stop, &done) })
	}
	// progress waits until so many more counts were acknowledged.
	progress := func(n int64) {
		t.Helper()
		for goal, tick := done.Load()+n, time.NewTicker(time.Millisecond); done.Load() < goal; <-tick.C {
			if ctx.Err() != nil {
				t.Errorf("%d of %d counts, then nothing", done.Load(), goal)
				break
			}
		}
	}
	disturb(progress)
	close(stop)
	all.Wait()
	total, stored := 0, 0
	for i := range counters {
		c := &counters[i]
		unavailable += c.unavailable
		if c.cause != nil {
			t.Logf("user %d: %d times unavailable, at last: %v", i, c.unavailable, c.cause)
		}
		total += c.acknowledged
		if c.lost != nil {
			t.Errorf("user %d: %v", i, c.lost)
			continue
		}
		session, err := s.Read(ctx, c.key)
		n := number(session.Payload)
		if err != nil || n != c.acknowledged && n != c.acknowledged+c.unknown {
			t.Errorf("user %d: the session counts %d, acknowledged are %d, %v", i, n, c.acknowledged, err)
		}
		if session.Version != uint64(n) {
			t.Errorf("user %d: version %d after %d counts", i, session.Version, n)
		}
		stored += n
	}
	t.Logf("%d users: %d counts acknowledged, %d stored, %d answers \"unavailable\"", users, total, stored, unavailable)
	return unavailable
}

// cluster starts a cluster of the test's own, with the schema, and opens a store on it.
func cluster(t *testing.T) (*ndbcluster.Cluster, *ndb.Store) {
	t.Helper()
	c := ndbcluster.Start(t, ndbcluster.Options{})
	apply(t, c.DSNs()[0], schema.NDB)
	return c, open(t, nil, c.DSNs()...)
}

// boot starts a node again.
func boot(t *testing.T, c *ndbcluster.Cluster, node string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	if err := c.Boot(ctx, node); err != nil {
		t.Fatal(err)
	}
}

// One cluster serves all failures, each of which leaves it whole.
func TestNodeFailures(t *testing.T) {
	c, s := cluster(t)
	users := 24
	t.Run("SQLNodeKilled", func(t *testing.T) {
		for _, node := range []string{"sql1", "sql2"} {
			unavailable := load(t, s, users, func(progress func(int64)) {
				progress(300)
				if err := c.Kill(node); err != nil {
					t.Fatal(err)
				}
				progress(300)
				boot(t, c, node)
				inService(t, s, 2)
				progress(300)
			})
			if unavailable > 0 {
				t.Errorf("%d operations failed though another SQL node was there all the time", unavailable)
			}
		}
	})
	t.Run("SQLNodeHangs", func(t *testing.T) {
		load(t, s, users, func(progress func(int64)) {
			progress(300)
			if err := c.Signal("sql1", syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			// What hangs in the node times out and is repeated on the other. Then the node comes alive and does it too.
			inService(t, s, 1)
			progress(300)
			if err := c.Signal("sql1", syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			inService(t, s, 2)
			progress(300)
		})
	})
	t.Run("DataNodeKilled", func(t *testing.T) {
		load(t, s, users, func(progress func(int64)) {
			progress(300)
			if err := c.Kill("data2"); err != nil {
				t.Fatal(err)
			}
			progress(300)
			boot(t, c, "data2")
			progress(300)
		})
	})
	t.Run("MemoryFull", func(t *testing.T) {
		fillMemory(t, s)
		if n := ndb.Healthy(s); n != 2 {
			t.Errorf("%d SQL nodes are in service: full memory is no fault of theirs", n)
		}
	})
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// fillMemory writes until the data nodes' memory is full, and then makes room by destroying sessions.
func fillMemory(t *testing.T, s sessionstore.Store) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var keys []sessionstore.Key
	large := sessionstore.Write{Payload: make([]byte, sessionstore.MaxPayload), Idle: time.Hour}
	for {
		key := sessionstore.NewKey("x", sessionstore.NewID())
		began := time.Now()
		_, err := s.Write(ctx, key, large)
		if err == nil {
			keys = append(keys, key)
			continue
		}
		var unavailable *sessionstore.UnavailableError
		if !errors.As(err, &unavailable) || unavailable.RetryAfter < 5*time.Second {
			t.Fatalf("after %d sessions: %v", len(keys), err)
		}
		t.Logf("after %d sessions of 1 MiB, in %v: %v", len(keys), time.Since(began).Round(time.Millisecond), err)
		break
	}
	for _, key := range keys {
		if _, err := s.Read(ctx, key); err != nil {
			t.Errorf("read while the memory is full: %v", err)
		}
		if err := s.Destroy(ctx, key, time.Second); err != nil {
			t.Errorf("destroy while the memory is full: %v", err)
		}
	}
	if _, err := s.Write(ctx, sessionstore.NewKey("x", sessionstore.NewID()), large); err != nil {
		t.Errorf("write once there is room: %v", err)
	}
}

// inService waits until so many SQL nodes are healthy in the store's eyes.
func inService(t *testing.T, s *ndb.Store, want int) {
	t.Helper()
	end := time.Now().Add(30 * time.Second)
	for tick := time.NewTicker(5 * time.Millisecond); ndb.Healthy(s) != want; <-tick.C {
		if time.Now().After(end) {
			t.Errorf("%d SQL nodes are in service, want %d", ndb.Healthy(s), want)
			return
		}
	}
}
