package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/lvsession/lvsession/sessionstore"
)

// Store is a [sessionstore.Store] and [sessionstore.Checker] in a folder.
//
// All changes go through one goroutine, the committer, which evaluates them in order and writes them in groups. So no
// change needs a lock, and the order of acknowledgement is the order on disk.
type Store struct {
	dir string
	now sessionstore.Clock
	log *slog.Logger

	db     *pebble.DB
	lock   *pebble.Lock
	disk   *disk
	recent *recent

	gate          sync.RWMutex // read-held by every operation, held by Close
	closing       chan struct{}
	closeOnce     sync.Once
	closeErr      error
	closeTimeout  time.Duration
	line          line
	committerDone chan struct{}
	late          bool           // changes are acknowledged before they are synced
	syncing       sync.WaitGroup // of the goroutine that syncs them
	failure       atomic.Pointer[error]
	due           due

	// The committer's.
	journal *journal
	tables  tables
	view    *view
	token   uint64 // the latest fencing token
}

var (
	_ sessionstore.Store        = (*Store)(nil)
	_ sessionstore.Checker      = (*Store)(nil)
	_ sessionstore.Walker       = (*Store)(nil)
	_ sessionstore.SubjectStore = (*Store)(nil)
	_ sessionstore.Importer     = (*Store)(nil)
	_ sessionstore.Backlogger   = (*Store)(nil)
)

// enter begins an operation: it fails if the caller has left or the store is closed or broken. Whoever entered must
// leave, or else Close waits.
func (s *Store) enter(ctx context.Context, op string) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !s.gate.TryRLock() { // only Close takes it otherwise
		return nil, s.unavailable(op, errClosed)
	}
	if err := s.broken(); err != nil {
		s.gate.RUnlock()
		return nil, err
	}
	return s.gate.RUnlock, nil
}

// Ping implements [sessionstore.Store].
func (s *Store) Ping(ctx context.Context) error {
	leave, err := s.enter(ctx, "ping")
	if err != nil {
		return err
	}
	defer leave()
	if s.disk.short() {
		return s.unavailable("ping", errDiskFull)
	}
	_, done, err := s.db.Get(formatKey)
	if err != nil {
		return s.unavailable("ping", err)
	}
	return s.unavailable("ping", done.Close())
}

// closeTimeout bounds how long Close waits for an engine that hangs on a full or broken disk.
const closeTimeout = 10 * time.Second

// Close implements [sessionstore.Store]. Operations that run are answered; those that wait are refused. If the disk is
// full or broken the engine may be unable to end; Close then gives up after ten seconds with an error, and only the end
// of the process releases the folder. Nothing that was acknowledged is lost by that.
func (s *Store) Close() error {
	s.closeOnce.Do(func() { s.closeErr = s.unavailable("close", s.close()) })
	return s.closeErr
}

func (s *Store) close() error {
	close(s.closing)
	done := make(chan error, 1)
	go func() { done <- s.closeEngine() }()
	timeout := time.NewTimer(s.closeTimeout)
	defer timeout.Stop()
	select {
	case err := <-done:
		return err
	case <-timeout.C:
		return fmt.Errorf("the storage engine has not ended within %v; is the disk full?", s.closeTimeout)
	}
}
