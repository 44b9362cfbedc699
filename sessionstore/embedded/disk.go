package embedded

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// errDiskFull: the file system refused a write for want of room, and has none yet.
var errDiskFull = fmt.Errorf("the disk is full: %w", syscall.ENOSPC)

// Bounds of how the disk is watched.
const (
	roomInterval = 50 * time.Millisecond  // how old the known room may be
	roomBytes    = 8 << 20                // how much may be written since
	fullInterval = 100 * time.Millisecond // how often a full disk is looked at
	fullRoom     = 16 << 20               // from what room on it counts as full no longer
)

// disk watches the room that is left. There are two lines of defence: room refuses changes while there is still enough
// for the engine to tidy up in; and should a write fail for want of room nonetheless, the change is refused if the journal
// is what wants room, while the file system that the engine sees holds its writes back until there is some, since the
// engine cannot survive their failure.
type disk struct {
	fs      vfs.FS // the real one
	dir     string
	minFree uint64

	// Of the committer alone.
	checked time.Time
	free    uint64
	written int

	full    atomic.Pointer[chan struct{}] // closed while the disk is full
	refused atomic.Bool                   // the last change was refused for want of room
}

func newDisk(fs vfs.FS, dir string, minFree uint64) *disk {
	d := &disk{fs: fs, dir: dir, minFree: minFree}
	open := make(chan struct{})
	d.full.Store(&open)
	return d
}

// watched is the file system for the engine.
func (d *disk) watched() vfs.FS { return vfs.OnDiskFull(d.fs, d.hold) }

// room reports whether a change may go on. Only the committer calls it.
func (d *disk) room(size int) error {
	if d.minFree == 0 {
		return nil
	}
	d.written += size
	if now := time.Now(); now.Sub(d.checked) > roomInterval || d.written > roomBytes {
		usage, err := d.fs.GetDiskUsage(d.dir)
		if err != nil {
			return fmt.Errorf("look for room on disk: %w", err)
		}
		d.checked, d.free, d.written = now, usage.AvailBytes, 0
	}
	if d.free < d.minFree {
		return fmt.Errorf("%d MiB are free on disk, less than the %d to be left: %w", d.free>>20, d.minFree>>20, syscall.ENOSPC)
	}
	return nil
}

// fullNow returns a channel that is closed as soon as the disk is full.
func (d *disk) fullNow() <-chan struct{} { return *d.full.Load() }

// short reports whether changes are refused for want of room.
func (d *disk) short() bool {
	select {
	case <-d.fullNow():
		return true
	default:
	}
	if !d.refused.Load() {
		return false
	}
	usage, err := d.fs.GetDiskUsage(d.dir)
	return err == nil && usage.AvailBytes < fullRoom
}

// hold keeps a failed write waiting until there is room. The engine's file system runs it once at a time.
func (d *disk) hold() {
	close(*d.full.Load())
	ticker := time.NewTicker(fullInterval)
	defer ticker.Stop()
	for range ticker.C {
		if usage, err := d.fs.GetDiskUsage(d.dir); err == nil && usage.AvailBytes >= fullRoom {
			break
		}
	}
	open := make(chan struct{})
	d.full.Store(&open)
}
