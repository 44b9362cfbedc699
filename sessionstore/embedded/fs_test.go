package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"

	"github.com/lvsession/lvsession/bench/rig/need"
	"github.com/lvsession/lvsession/sessionstore"
)

// faultyFS is a file system that can run full, fail, or hang at a sync.
type faultyFS struct {
	vfs.FS

	mu    sync.Mutex
	room  int64         // bytes left
	sick  bool          // syncs of the log fail
	hang  chan struct{} // if not nil, syncs of the log wait for it
	asked chan struct{} // told of each sync that waits
}

func newFaultyFS(inner vfs.FS) *faultyFS {
	return &faultyFS{FS: inner, room: 1 << 40, asked: make(chan struct{}, 100)}
}

func (f *faultyFS) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *faultyFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return vfs.DiskUsage{AvailBytes: uint64(f.room), TotalBytes: 1 << 40}, nil
}

func (f *faultyFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(name, c)
	return f.wrap(name, file, err)
}

func (f *faultyFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	file, err := f.FS.OpenReadWrite(name, c, o...)
	return f.wrap(name, file, err)
}

func (f *faultyFS) ReuseForWrite(old, new string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.ReuseForWrite(old, new, c)
	return f.wrap(new, file, err)
}

func (f *faultyFS) wrap(name string, file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &faultyFile{File: file, fs: f, log: filepath.Ext(name) == ".log"}, nil
}

type faultyFile struct {
	vfs.File
	fs  *faultyFS
	log bool
}

// Write takes as much as there is room for.
func (f *faultyFile) Write(p []byte) (int, error) {
	f.fs.mu.Lock()
	n := min(int64(len(p)), f.fs.room)
	f.fs.room -= n
	f.fs.mu.Unlock()
	written, err := f.File.Write(p[:n])
	if err == nil && written < len(p) {
		err = &os.PathError{Op: "write", Path: "faulty", Err: syscall.ENOSPC}
	}
	return written, err
}

// WriteAt takes of what makes the file longer as much as there is room for.
func (f *faultyFile) WriteAt(p []byte, at int64) (int, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	f.fs.mu.Lock()
	free := min(max(info.Size()-at, 0), int64(len(p))) // takes no room
	n := free + min(int64(len(p))-free, f.fs.room)
	f.fs.room -= n - free
	f.fs.mu.Unlock()
	written, err := f.File.WriteAt(p[:n], at)
	if err == nil && written < len(p) {
		err = &os.PathError{Op: "write", Path: "faulty", Err: syscall.ENOSPC}
	}
	return written, err
}

func (f *faultyFile) SyncData() error {
	if err := f.trouble(); err != nil {
		return err
	}
	return f.File.SyncData()
}

func (f *faultyFile) Sync() error {
	if err := f.trouble(); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *faultyFile) trouble() error {
	f.fs.mu.Lock()
	sick, hang := f.fs.sick && f.log, f.fs.hang
	f.fs.mu.Unlock()
	if f.log && hang != nil {
		f.fs.asked <- struct{}{}
		<-hang
	}
	if sick {
		return &os.PathError{Op: "sync", Path: "faulty", Err: syscall.EIO}
	}
	return nil
}

func openFaulty(t *testing.T, fs vfs.FS, minFree int64) *Store {
	t.Helper()
	s, err := Open(t.TempDir(), Options{fs: fs, MinFree: minFree})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() }) // again, after tests that close by themselves
	return s
}

func testKey(i int) sessionstore.Key { return sessionstore.NewKey("test", fmt.Sprint(i)) }

func put(ctx context.Context, s *Store, i int) error {
	w := sessionstore.Write{Payload: fmt.Append(nil, "payload ", i), Idle: time.Hour, IfVersion: sessionstore.AnyVersion}
	_, err := s.Write(ctx, testKey(i), w)
	return err
}

func verify(t *testing.T, s *Store, n int) {
	t.Helper()
	for i := range n {
		got, err := s.Read(t.Context(), testKey(i))
		if want := fmt.Sprint("payload ", i); err != nil || string(got.Payload) != want {
			t.Errorf("session %d: %q, %v", i, got.Payload, err)
		}
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestPowerLoss: a disk that forgets whatever was not synced still has each acknowledged change.
func TestPowerLoss(t *testing.T) {
	disk := vfs.NewCrashableMem()
	dir := t.TempDir()
	s, err := Open(dir, Options{fs: disk, MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		if err := put(t.Context(), s, i); err != nil {
			t.Fatal(err)
		}
		if i%60 != 0 {
			continue
		}
		after := disk.CrashClone(vfs.CrashCloneCfg{})
		again, err := Open(dir, Options{fs: after, MinFree: -1})
		if err != nil {
			t.Fatal(err)
		}
		verify(t, again, i+1)
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestUnsynced: what is not yet on disk is not shown, and keeps nobody else waiting.
func TestUnsynced(t *testing.T) {
	fs := newFaultyFS(vfs.NewMem())
	s := openFaulty(t, fs, -1)
	for i := range 2 {
		if err := put(t.Context(), s, i); err != nil {
			t.Fatal(err)
		}
	}
	release := make(chan struct{})
	fs.set(func() { fs.hang = release })
	written := make(chan error)
	go func() {
		_, err := s.Write(t.Context(), testKey(0), sessionstore.Write{Payload: []byte("new"), Idle: time.Hour, IfVersion: 1})
		written <- err
	}()
	<-fs.asked // the log is being synced

	if got, err := s.Read(t.Context(), testKey(1)); err != nil || got.Version != 1 {
		t.Errorf("another session: version %d, %v", got.Version, err)
	}
	if got, err := s.Read(t.Context(), testKey(0)); err != nil || got.Version != 1 {
		t.Errorf("a session on its way to disk: version %d %q, %v", got.Version, got.Payload, err)
	}
	short, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if err := put(short, s, 2); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a write behind it: %v", err)
	}
	fs.set(func() { fs.hang = nil })
	close(release)
	if err := <-written; err != nil {
		t.Error(err)
	}
	if got, err := s.Read(t.Context(), testKey(0)); err != nil || string(got.Payload) != "new" {
		t.Errorf("after the sync: %q, %v", got.Payload, err)
	}
	// The caller of session 2 left before its turn, or else its write took effect whole.
	if got, err := s.Read(t.Context(), testKey(2)); !errors.Is(err, sessionstore.ErrNotFound) && string(got.Payload) != "payload 2" {
		t.Errorf("a write whose caller left: %q, %v", got.Payload, err)
	}
}

// TestLittleRoom: short of room the store refuses what needs it and goes on with the rest.
func TestLittleRoom(t *testing.T) {
	fs := newFaultyFS(vfs.NewMem())
	s := openFaulty(t, fs, 1<<30)
	ctx := t.Context()
	if err := errors.Join(put(ctx, s, 0), put(ctx, s, 1)); err != nil {
		t.Fatal(err)
	}
	fs.set(func() { fs.room = 1<<30 - 1 })
	until(t, "a refusal", func() bool { return put(ctx, s, 2) != nil })

	var refused *sessionstore.UnavailableError
	if err := put(ctx, s, 2); !errors.As(err, &refused) || !errors.Is(err, syscall.ENOSPC) || refused.RetryAfter <= 0 {
		t.Errorf("write: %v", err)
	}
	if got, err := s.Read(ctx, testKey(0)); err != nil || got.Version != 1 {
		t.Errorf("read: %v", err)
	}
	if err := s.Destroy(ctx, testKey(1), time.Hour); err != nil {
		t.Errorf("destroy: %v", err)
	}
	if _, err := s.GC(ctx, 10); err != nil {
		t.Errorf("GC: %v", err)
	}
	fs.set(func() { fs.room = 1 << 40 })
	until(t, "room", func() bool { return put(ctx, s, 1000) == nil })
	verify(t, s, 1)
}

// TestFullDisk: a disk that is full to the last byte loses nothing, and the store goes on when there is room.
func TestFullDisk(t *testing.T) {
	fs := newFaultyFS(vfs.NewMem())
	s := openFaulty(t, fs, -1)
	fs.set(func() { fs.room = 200_000 })
	n := 0
	var err error
	for ; err == nil && n < 100_000; n++ {
		err = put(t.Context(), s, n)
	}
	n-- // the refused one
	if !errors.Is(err, sessionstore.ErrUnavailable) || !errors.Is(err, syscall.ENOSPC) || n < 100 {
		t.Fatalf("after %d writes: %v", n, err)
	}
	if err := s.Ping(t.Context()); !errors.Is(err, sessionstore.ErrUnavailable) {
		t.Errorf("ping: %v", err)
	}
	if err := put(t.Context(), s, n); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("another write: %v", err)
	}
	verify(t, s, n)
	fs.set(func() { fs.room = 1 << 30 })
	until(t, "room", func() bool { return put(t.Context(), s, n) == nil })
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("ping: %v", err)
	}
	verify(t, s, n+1)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	again, err := Open(s.dir, Options{fs: fs, MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	verify(t, again, n+1)
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// TestCloseFull: Close does not hang on a full disk, and what was acknowledged is there once there is room.
func TestCloseFull(t *testing.T) {
	fs := newFaultyFS(vfs.NewMem())
	s := openFaulty(t, fs, -1)
	s.closeTimeout = 100 * time.Millisecond
	fs.set(func() { fs.room = 100_000 })
	n := 0
	for put(t.Context(), s, n) == nil {
		n++
	}
	if err := s.Close(); !errors.Is(err, sessionstore.ErrUnavailable) {
		t.Errorf("close: %v", err)
	}
	if err := put(t.Context(), s, n); !errors.Is(err, sessionstore.ErrUnavailable) {
		t.Errorf("write after Close: %v", err)
	}
	fs.set(func() { fs.room = 1 << 30 })
	var again *Store
	until(t, "release of the folder", func() (ok bool) {
		var err error
		again, err = Open(s.dir, Options{fs: fs, MinFree: -1})
		return err == nil
	})
	verify(t, again, n)
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// TestTinyDisk is TestFullDisk on a real file system.
func TestTinyDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("lvsession-test", dir, "tmpfs", 0, "size=40m"); err != nil {
		need.Skip(t, fmt.Sprintf("no tmpfs can be mounted (%v): run as root", err))
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	s, err := Open(filepath.Join(dir, "data"), Options{MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ballast, make([]byte, 34<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	n := 0
	for ; n < 100_000; n++ {
		w := sessionstore.Write{Payload: make([]byte, 10_000), Idle: time.Hour}
		if _, err = s.Write(t.Context(), testKey(1_000_000+n), w); err != nil {
			break
		}
	}
	if !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, sessionstore.ErrUnavailable) {
		t.Fatalf("after %d writes: %v", n, err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	until(t, "room", func() bool { return put(t.Context(), s, 0) == nil })
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	again, err := Open(filepath.Join(dir, "data"), Options{MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if got, err := again.Read(t.Context(), testKey(1_000_000+i)); err != nil || len(got.Payload) != 10_000 {
			t.Fatalf("session %d of %d: %d bytes, %v", i, n, len(got.Payload), err)
		}
	}
	verify(t, again, 1)
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// TestSickDisk: when a sync fails nothing is acknowledged any more, and a restart finds what was.
func TestSickDisk(t *testing.T) {
	fs := newFaultyFS(vfs.NewMem())
	s := openFaulty(t, fs, -1)
	for i := range 10 {
		if err := put(t.Context(), s, i); err != nil {
			t.Fatal(err)
		}
	}
	fs.set(func() { fs.sick = true })
	for i := range 3 {
		if err := put(t.Context(), s, 0); !errors.Is(err, sessionstore.ErrUnavailable) {
			t.Errorf("write %d: %v", i, err)
		}
	}
	_, err := s.Read(t.Context(), testKey(0))
	for _, err := range []error{err, s.Ping(t.Context())} {
		if !errors.Is(err, sessionstore.ErrUnavailable) {
			t.Errorf("after the failure: %v", err)
		}
	}
	fs.set(func() { fs.sick = false })
	if err := s.Close(); err != nil {
		t.Logf("close: %v", err)
	}
	again, err := Open(s.dir, Options{fs: fs, MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	verify(t, again, 10)
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// until repeats an attempt until it succeeds, at most for 20 seconds.
func until(t *testing.T, what string, attempt func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !attempt(); {
		if time.Now().After(deadline) {
			t.Fatalf("no %s within 20 s", what)
		}
	}
}

// TestSyncLater: with SyncEvery a change does not wait for the disk, and a sync that fails ends the store.
func TestSyncLater(t *testing.T) {
	fs := newFaultyFS(vfs.Default)
	s, err := Open(t.TempDir(), Options{SyncEvery: time.Millisecond, fs: fs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	hang := make(chan struct{})
	fs.set(func() { fs.hang = hang })
	write := func() error {
		key := sessionstore.NewKey("test", sessionstore.NewID())
		_, err := s.Write(t.Context(), key, sessionstore.Write{Payload: []byte("x"), Idle: time.Hour})
		return err
	}
	if err := write(); err != nil {
		t.Fatal(err)
	}
	<-fs.asked // the sync hangs
	if err := write(); err != nil {
		t.Fatalf("while the disk hangs: %v", err)
	}
	fs.set(func() { fs.hang, fs.sick = nil, true })
	close(hang)
	for write() == nil {
		if t.Context().Err() != nil {
			t.Fatal("the store did not notice that it cannot sync")
		}
	}
}

// TestFormat1: a store that an earlier version left, with changes in the engine's own log, is taken over.
func TestFormat1(t *testing.T) {
	dir := t.TempDir()
	o := (&Store{disk: newDisk(vfs.Default, dir, 0)}).engineOptions(Options{}.withDefaults())
	o.DisableWAL = false
	db, err := pebble.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	v := newView(db, newRecent(0, 0))
	w := write{key: testKey(0), payload: newPayload([]byte("payload 0")), Write: sessionstore.Write{Idle: time.Hour}}
	if _, err := w.evaluate(v, time.Now().UnixMilli()); err != nil {
		t.Fatal(err)
	}
	b := db.NewBatch()
	err = errors.Join(v.flush(b, func(byte, int64) {}), b.Set(formatKey, []byte("1"), nil), b.Commit(pebble.Sync), b.Close(), db.Close())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		verify(t, s, 1)
		if found, err := checkFormat(s.db); found != format || err != nil {
			t.Errorf("format %d, %v", found, err)
		}
		if err := errors.Join(put(t.Context(), s, 1), s.Close()); err != nil {
			t.Fatal(err)
		}
	}
}
