package embedded

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lvsession/lvsession/sessionstore"
)

// Options say how to open a store. The zero value is fine.
type Options struct {
	// Now tells the time; nil means [time.Now].
	Now sessionstore.Clock
	// CacheBytes is how much memory holds what was lately written to disk or read from it; 0 means 64 MiB. The engine takes up to
	// 128 MiB more for changes that are not yet in their place on disk.
	CacheBytes int64
	// MinFree is how many bytes the disk must have left for a change that needs room; 0 means 256 MiB, a negative value
	// that there is no such limit. The engine needs room to tidy up, so a store that fills its disk to the brim is in
	// trouble long before.
	MinFree int64
	// SyncEvery, if more than 0, is how often changes are synced to disk; they are acknowledged before that. A crash of the
	// process or of the machine then loses what was acknowledged since. 0 means that a change is acknowledged once it is on
	// disk.
	SyncEvery time.Duration
	// Log takes what an operator should know; nil means nowhere.
	Log *slog.Logger

	fs vfs.FS // tests set it
}

// Defaults of [Options].
const (
	DefaultCacheBytes = 64 << 20
	DefaultMinFree    = 256 << 20
)

// Shares of the cache, one over each: for records, and for payloads. The rest is for blocks of the engine.
const (
	recordShare  = 4
	payloadShare = 2
)

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = DefaultCacheBytes
	}
	if o.MinFree == 0 {
		o.MinFree = DefaultMinFree
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.fs == nil {
		o.fs = vfs.Default
	}
	return o
}

// ErrInUse: another process, or another store of this one, has the folder open.
var ErrInUse = errors.New("another sessiond uses it")

// Open opens the store in a folder, which it makes if it does not exist. Whatever was acknowledged before is there, also
// after a crash.
//
// It fails if another process has the folder open ([ErrInUse]), if the folder holds something else, a store of a later
// format, or one that is damaged. It changes nothing then.
func Open(dir string, o Options) (*Store, error) {
	o = o.withDefaults()
	s, err := open(dir, o)
	if err != nil {
		return nil, fmt.Errorf("open session store in %s: %w", dir, err)
	}
	go s.commit()
	if o.SyncEvery > 0 {
		s.syncing.Go(func() { s.syncNow(o.SyncEvery) })
	}
	return s, nil
}

func open(dir string, o Options) (*Store, error) {
	dir, err := prepareFolder(dir, o.fs)
	if err != nil {
		return nil, err
	}
	s := &Store{
		dir: dir, now: o.Now, log: o.Log,
		late:          o.SyncEvery > 0,
		disk:          newDisk(o.fs, dir, uint64(max(0, o.MinFree))),
		recent:        newRecent(o.CacheBytes/recordShare, o.CacheBytes/payloadShare),
		closeTimeout:  closeTimeout,
		closing:       make(chan struct{}),
		line:          line{wake: make(chan struct{}, 1)},
		committerDone: make(chan struct{}),
	}
	s.due.reset()
	if s.lock, err = pebble.LockDirectory(dir, o.fs); err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			return nil, err // there is no lock at all
		}
		return nil, fmt.Errorf("%w (%w)", ErrInUse, err)
	}
	if err := s.openEngine(o); err != nil {
		return nil, errors.Join(err, s.lock.Close())
	}
	return s, nil
}

// prepareFolder makes the folder if need be and returns its one true path, by which the lock knows it.
func prepareFolder(dir string, fs vfs.FS) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := makeFolder(dir, fs); err != nil {
		return "", err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", err
	}
	return dir, checkFolder(dir)
}

// makeFolder makes the folder and its parents as far as they are missing, and syncs what it made: a loss of power must
// not take the folder with all that is in it.
func makeFolder(dir string, fs vfs.FS) error {
	_, err := fs.Stat(dir)
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeFolder(parent, fs); err != nil {
			return err
		}
	}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := fs.OpenDir(parent)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// checkFolder refuses a folder that holds files but no store: the engine would make itself at home there, and sweep.
func checkFolder(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	foreign := ""
	for _, f := range files {
		switch name := f.Name(); {
		case strings.HasPrefix(name, "marker.manifest."):
			return nil
		case name != "LOCK" && name != "lost+found":
			foreign = name
		}
	}
	if foreign == "" {
		return nil
	}
	return fmt.Errorf("the folder is not empty (there is %s) and holds no session store", foreign)
}

// openEngine opens the engine and makes sure that its content is a store of a known format.
func (s *Store) openEngine(o Options) (err error) {
	defer func() {
		if p := recover(); p != nil { // the engine's way to report some kinds of damage
			err = fmt.Errorf("%w: %v", errDamaged, p)
		}
	}()
	s.db, err = pebble.Open(s.dir, s.engineOptions(o))
	if err != nil {
		if pebble.IsCorruptionError(err) {
			err = fmt.Errorf("%w: %w", errDamaged, err)
		}
		return err
	}
	if err := s.recover(o.fs); err != nil {
		return errors.Join(err, s.db.Close())
	}
	s.view = newView(s.db, s.recent)
	return nil
}

// recover brings the engine up to date by the journal. The engine's tables then hold all, so the journal begins anew.
func (s *Store) recover(fs vfs.FS) error {
	found, err := checkFormat(s.db)
	if err != nil {
		return err
	}
	done, err := applied(s.db)
	if err != nil {
		return fmt.Errorf("read how far it has come: %w", err)
	}
	replayed := 0
	s.journal, err = openJournal(fs, s.dir, done, func(_ uint64, content []byte) error {
		replayed++
		b := s.db.NewBatch()
		if err := b.SetRepr(bytes.Clone(content)); err != nil {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
		return errors.Join(b.Commit(pebble.NoSync), b.Close())
	})
	if err != nil {
		return err
	}
	if found != format {
		err = s.db.Set(formatKey, []byte(strconv.Itoa(format)), pebble.NoSync)
	}
	if err == nil && (found != format || replayed > 0) {
		err = s.db.Flush()
	}
	if err != nil {
		return errors.Join(err, s.journal.close())
	}
	s.tables.done = s.journal.last
	return nil
}

// applied returns the sequence number of the journal's last record that the engine has.
func applied(db *pebble.DB) (uint64, error) {
	value, done, err := db.Get(journalKey)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if len(value) != 8 {
		return 0, errors.Join(fmt.Errorf("%w: a sequence number of %d bytes", errDamaged, len(value)), done.Close())
	}
	return binary.BigEndian.Uint64(value), done.Close()
}

func (s *Store) engineOptions(o Options) *pebble.Options {
	log := engineLog{o.Log}
	e := &pebble.Options{
		FS:        s.disk.watched(),
		Lock:      s.lock,
		Logger:    log,
		CacheSize: o.CacheBytes - o.CacheBytes/recordShare - o.CacheBytes/payloadShare,
		// The larger they are, the more changes of one session go to disk as one. They begin small, and grow with the load.
		MemTableSize:                32 << 20,
		MemTableStopWritesThreshold: 4,
		DisableWAL:                  true, // see journal
		// The engine's on-disk format stays where it is until this line is changed.
		FormatMajorVersion: pebble.FormatValueSeparation,
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) { log.Errorf("background work failed: %v", err) },
			DataCorruption:  func(info pebble.DataCorruptionInfo) { log.Errorf("%v", info) },
		},
	}
	for i := range e.Levels {
		e.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return e
}

// checkFormat verifies that the engine holds a store of a known format, and returns which; 0 if it is empty.
func checkFormat(db *pebble.DB) (int, error) {
	value, done, err := db.Get(formatKey)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, checkEmpty(db)
	}
	if err != nil {
		return 0, fmt.Errorf("read its format: %w", err)
	}
	found := string(value)
	if err := done.Close(); err != nil {
		return 0, fmt.Errorf("read its format: %w", err)
	}
	n, err := strconv.Atoi(found)
	switch {
	case err != nil || n < 1:
		return 0, fmt.Errorf("%w: its format is %q", errDamaged, found)
	case n > format:
		return 0, fmt.Errorf("the store is of format %d, made by a later version; this one knows formats up to %d", n, format)
	}
	return n, nil
}

// checkEmpty refuses an engine that holds anything: it is someone else's.
func checkEmpty(db *pebble.DB) error {
	it, err := db.NewIter(nil)
	if err != nil {
		return fmt.Errorf("look for records: %w", err)
	}
	empty := !it.First()
	if err := it.Close(); err != nil {
		return fmt.Errorf("look for records: %w", err)
	}
	if !empty {
		return errors.New("the folder holds a Pebble store, but not of sessions")
	}
	return nil
}

// closeEngine ends the committer, waits for all operations, has the engine write all to its tables, and closes what Open opened.
func (s *Store) closeEngine() (err error) {
	<-s.committerDone
	s.syncing.Wait()
	s.gate.Lock() // and keep it: whoever comes later is refused
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("close the engine: %v", p)
		}
	}()
	if s.broken() == nil { // or else the next Open goes by the journal
		err = s.db.Flush()
	}
	return errors.Join(err, s.db.Close(), s.journal.close(), s.lock.Close())
}

// engineLog passes on what of the engine's own reports an operator should know.
type engineLog struct{ log *slog.Logger }

// Infof drops the engine's diary.
func (engineLog) Infof(string, ...any) {}

// Errorf reports an error that the engine survives.
func (l engineLog) Errorf(format string, a ...any) {
	l.log.Error("storage engine", "error", fmt.Sprintf(format, a...))
}

// Fatalf reports an error that the engine does not survive. It must not return. The committer turns the panic into an
// answer; elsewhere it ends the process, and the next start recovers from the log.
func (l engineLog) Fatalf(format string, a ...any) {
	message := fmt.Sprintf(format, a...)
	l.log.Error("storage engine failed", "error", message)
	panic(message)
}
