package embedded_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/embedded"
	"github.com/lvsession/lvsession/sessionstore/storetest"
)

func TestSuite(t *testing.T) {
	storetest.Run(t, func(t testing.TB, clock sessionstore.Clock) sessionstore.Store {
		return open(t, t.TempDir(), embedded.Options{Now: clock})
	})
}

// TestSuiteSyncedLater runs the suite on a store that acknowledges changes before they are on disk.
func TestSuiteSyncedLater(t *testing.T) {
	storetest.Run(t, func(t testing.TB, clock sessionstore.Clock) sessionstore.Store {
		return open(t, t.TempDir(), embedded.Options{Now: clock, SyncEvery: time.Millisecond})
	})
}

// open opens a store and closes it when the test ends.
func open(t testing.TB, dir string, o embedded.Options) *embedded.Store {
	t.Helper()
	s, err := embedded.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func key(name string) sessionstore.Key { return sessionstore.NewKey("test", name) }

// TestReopen finds everything as it was after Close and Open: sessions, aliases, tombstones, leases, what expired.
func TestReopen(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	now := time.Now().Truncate(time.Millisecond)
	o := embedded.Options{Now: func() time.Time { return now }}
	s, err := embedded.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	write := func(k string, payload string, idle time.Duration) {
		t.Helper()
		w := sessionstore.Write{Payload: []byte(payload), Idle: idle, Absolute: 2 * time.Hour, IfVersion: sessionstore.AnyVersion}
		if _, err := s.Write(ctx, key(k), w); err != nil {
			t.Fatal(err)
		}
	}
	write("a", "first", time.Hour)
	write("a", "second", time.Hour)
	write("empty", "", time.Hour)
	write("gone", "x", time.Hour)
	write("short", "x", time.Minute)
	write("old", "moved", time.Hour)
	lease, err := s.Lock(ctx, key("a"), sessionstore.Lock{TTL: time.Minute})
	for _, err := range []error{
		err,
		s.Destroy(ctx, key("gone"), time.Hour),
		s.Touch(ctx, key("a"), sessionstore.Touch{Idle: 90 * time.Minute}),
		func() error {
			_, err := s.Regenerate(ctx, key("old"), key("new"), sessionstore.Regenerate{Grace: 10 * time.Minute, Tombstone: time.Hour})
			return err
		}(),
		s.Close(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}

	now = now.Add(time.Minute)
	s = open(t, dir, o)
	got, err := s.Read(ctx, key("a"))
	if err != nil || string(got.Payload) != "second" || got.Version != 2 || !got.Created.Equal(now.Add(-time.Minute)) ||
		!got.Expires.Equal(now.Add(89*time.Minute)) || !got.Deadline.Equal(now.Add(119*time.Minute)) {
		t.Errorf("a: %+v, %v", got, err)
	}
	if got, err := s.Read(ctx, key("empty")); err != nil || len(got.Payload) != 0 || got.Version != 1 {
		t.Errorf("empty: %+v, %v", got, err)
	}
	if got, err := s.Read(ctx, key("old")); err != nil || got.Key != key("new") || string(got.Payload) != "moved" {
		t.Errorf("old: %+v, %v", got, err)
	}
	if _, err := s.Read(ctx, key("short")); !errors.Is(err, sessionstore.ErrNotFound) {
		t.Errorf("short: %v", err)
	}
	if _, err := s.Write(ctx, key("gone"), sessionstore.Write{Idle: time.Hour}); !errors.Is(err, sessionstore.ErrDestroyed) {
		t.Errorf("gone: %v", err)
	}
	next, err := s.Lock(ctx, key("a"), sessionstore.Lock{TTL: time.Minute}) // the lease ended just now
	if err != nil || next.Token <= lease.Token {
		t.Errorf("lease after %d: %+v, %v", lease.Token, next, err)
	}
	if n, err := s.GC(ctx, 10); n != 1 || err != nil {
		t.Errorf("GC after reopening: %d, %v; want 1: the short session", n, err)
	}
	if err := s.Check(ctx); err != nil {
		t.Error(err)
	}
}

// TestManyCollected collects more than one chunk, on both sides of reopening, and leaves what was touched.
func TestManyCollected(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	now := time.Now().Truncate(time.Millisecond)
	o := embedded.Options{Now: func() time.Time { return now }}
	s, err := embedded.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	const n = 1000
	for i := range n {
		w := sessionstore.Write{Payload: []byte("x"), Idle: time.Second + time.Duration(i)*time.Millisecond}
		if _, err := s.Write(ctx, key(fmt.Sprint(i)), w); err != nil {
			t.Fatal(err)
		}
		if i%10 == 0 {
			if err := s.Touch(ctx, key(fmt.Sprint(i)), sessionstore.Touch{Idle: time.Hour}); err != nil {
				t.Fatal(err)
			}
		}
	}
	now = now.Add(time.Second + n/2*time.Millisecond - time.Millisecond)
	if got, err := s.GC(ctx, 130); got != 130 || err != nil {
		t.Fatalf("bounded GC: %d, %v", got, err)
	}
	if err := errors.Join(s.Check(ctx), s.Close()); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, o)
	if got, err := s.GC(ctx, n); got != n/2-n/20-130 || err != nil {
		t.Errorf("GC of the rest of the first half: %d, %v", got, err)
	}
	now = now.Add(time.Minute)
	if got, err := s.GC(ctx, n); got != n/2-n/20 || err != nil {
		t.Errorf("GC of the second half: %d, %v", got, err)
	}
	for i := range n {
		_, err := s.Read(ctx, key(fmt.Sprint(i)))
		if touched := i%10 == 0; touched && err != nil || !touched && !errors.Is(err, sessionstore.ErrNotFound) {
			t.Fatalf("session %d: %v", i, err)
		}
	}
	if err := s.Check(ctx); err != nil {
		t.Error(err)
	}
}

func TestOwnership(t *testing.T) {
	ctx := t.Context()
	s := open(t, t.TempDir(), embedded.Options{})
	payload := []byte("as written")
	if _, err := s.Write(ctx, key("a"), sessionstore.Write{Payload: payload, Idle: time.Hour}); err != nil {
		t.Fatal(err)
	}
	copy(payload, "overwritten")
	first, err := s.Read(ctx, key("a"))
	if err != nil || string(first.Payload) != "as written" {
		t.Fatalf("%q, %v", first.Payload, err)
	}
	clear(first.Payload)
	if second, err := s.Read(ctx, key("a")); err != nil || string(second.Payload) != "as written" {
		t.Fatalf("%q, %v", second.Payload, err)
	}
}

// TestOneProcess: a folder is for one store at a time, in this process, in another, and under another name.
func TestOneProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s, err := embedded.Open(dir, embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	link := dir + ".link"
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{dir, link} {
		if _, err := embedded.Open(name, embedded.Options{}); !errors.Is(err, embedded.ErrInUse) || !strings.Contains(err.Error(), name) {
			t.Errorf("second store in %s: %v", name, err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	other := exec.Command(self)
	other.Env = append(os.Environ(), childFolder+"="+dir)
	if out, err := other.CombinedOutput(); err == nil || !bytes.Contains(out, []byte("another sessiond uses it")) {
		t.Errorf("second process: %v, %s", err, out)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir, embedded.Options{})
}

func TestClosed(t *testing.T) {
	ctx := t.Context()
	s, err := embedded.Open(t.TempDir(), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	_, readErr := s.Read(ctx, key("a"))
	_, writeErr := s.Write(ctx, key("a"), sessionstore.Write{Idle: time.Hour})
	_, gcErr := s.GC(ctx, 1)
	for _, err := range []error{readErr, writeErr, gcErr, s.Ping(ctx), s.Check(ctx)} {
		if !errors.Is(err, sessionstore.ErrUnavailable) {
			t.Errorf("after Close: %v", err)
		}
	}
}

// TestBadFolder: what is not a store of ours is refused in plain words, and left as it is.
func TestBadFolder(t *testing.T) {
	withEngine := func(change func(db *pebble.DB) error) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			db, err := pebble.Open(dir, &pebble.Options{Logger: silent{}})
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(change(db), db.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
	withStore := func(change func(dir string) error, open ...func()) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			s, err := embedded.Open(dir, embedded.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for i := range 100 {
				w := sessionstore.Write{Payload: make([]byte, 10_000), Idle: time.Hour}
				if _, err := s.Write(t.Context(), key(fmt.Sprint(i)), w); err != nil {
					t.Fatal(err)
				}
			}
			for _, f := range open {
				f()
			}
			if err := errors.Join(s.Close(), change(dir)); err != nil {
				t.Fatal(err)
			}
		}
	}
	// crashed makes the folder what a store left that had no time to close.
	crashed := func(change func(dir string) error) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			embedded.SetSegmentSize(4 << 20) // all in one
			defer embedded.SetSegmentSize(testSegments)
			origin := t.TempDir()
			withStore(func(string) error { return nil }, func() {
				if err := os.CopyFS(dir, os.DirFS(origin)); err != nil {
					t.Fatal(err)
				}
			})(t, origin)
			if err := change(dir); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name string
		make func(t *testing.T, dir string)
		want string
	}{
		{"someone's files", func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "letter.txt"), []byte("dear"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "not empty (there is letter.txt)"},
		{"another program's engine", withEngine(func(db *pebble.DB) error {
			return db.Set([]byte("a"), []byte("b"), pebble.Sync)
		}), "not of sessions"},
		{"a later format", withEngine(func(db *pebble.DB) error {
			return db.Set([]byte("f"), []byte("3"), pebble.Sync)
		}), "format 3, made by a later version"},
		{"a damaged format", withEngine(func(db *pebble.DB) error {
			return db.Set([]byte("f"), []byte("?"), pebble.Sync)
		}), "damaged"},
		{"a lost manifest", withStore(func(dir string) error { return removeAll(dir, "MANIFEST-*") }), "MANIFEST"},
		{"a lost marker", withStore(func(dir string) error { return removeAll(dir, "marker.manifest.*") }), "not empty"},
		{"a damaged manifest", withStore(func(dir string) error { return damageAt(dir, "MANIFEST-*", 10) }), "damaged"},
		{"a damaged journal", crashed(func(dir string) error { return damage(dir, "journal/*.log") }), "damaged"},
		{"a damaged journal's header", crashed(func(dir string) error { return damageAt(dir, "journal/*.log", 10) }), "damaged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			c.make(t, dir)
			s, err := embedded.Open(dir, embedded.Options{})
			if err == nil {
				s.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("%v; want it to name the folder and say %q", err, c.want)
			}
			t.Log(err)
			if _, again := embedded.Open(dir, embedded.Options{}); errors.Is(again, embedded.ErrInUse) {
				t.Errorf("the refused store still holds its lock: %v", again)
			}
		})
	}
	t.Run("a file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := embedded.Open(file, embedded.Options{}); err == nil {
			t.Error("opened")
		}
	})
}

type silent struct{}

func (silent) Infof(string, ...any)      {}
func (silent) Errorf(string, ...any)     {}
func (silent) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

func removeAll(dir, pattern string) error {
	return each(dir, pattern, os.Remove)
}

// damage overwrites a part of files in their first half.
func damage(dir, pattern string) error {
	return each(dir, pattern, func(name string) error {
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		return damageAt(dir, pattern, int(info.Size()/3))
	})
}

func damageAt(dir, pattern string, at int) error {
	return each(dir, pattern, func(name string) error {
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for i := at; i < at+20 && i < len(b); i++ {
			b[i] ^= 0xff
		}
		return os.WriteFile(name, b, 0o600)
	})
}

func each(dir, pattern string, do func(name string) error) error {
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err == nil && len(names) == 0 {
		err = fmt.Errorf("no %s in %s", pattern, dir)
	}
	for _, name := range names {
		err = errors.Join(err, do(name))
	}
	return err
}
