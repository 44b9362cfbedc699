package ebpf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultPin is where what outlives the process is pinned unless told otherwise.
const DefaultPin = "/sys/fs/bpf/lvsproxy"

// schema is the version of the maps' layout: v and a number. One that cannot go on with the maps of another has a folder of its
// own. All versions have maps services, conns and halves, and a connection in those a field expires: see predecessor.
const schema = "v2"

// ErrInUse is wrapped where another process keeps the same maps.
var ErrInUse = errors.New("another lvsproxy keeps the maps")

// pins is a folder in a bpffs, locked for this process: what is pinned there lives on without it.
type pins struct {
	root    string // with the versions' folders
	version string // whose folder it is
	lock    *os.File
	lent    atomic.Bool // the lock is another's to take
	lentAt  time.Time   // guarded by the dataplane's mu
}

// openPins makes the folder if need be, and locks it. A bpffs is mounted where none is.
func openPins(root string) (*pins, error) {
	if err := mountBPF(root); err != nil {
		return nil, err
	}
	p := &pins{root: root, version: schema}
	if err := os.MkdirAll(p.path(linksFolder), 0o700); err != nil {
		return nil, fmt.Errorf("folder for pins: %w", err)
	}
	lock, err := os.Open(root)
	if err != nil {
		return nil, fmt.Errorf("folder for pins: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w in %s (stop it first, or choose another folder by --bpf-pin)", ErrInUse, root)
		}
		return nil, fmt.Errorf("lock %s: %w", root, err)
	}
	p.lock = lock
	return p, nil
}

// path returns where something of this version's is pinned.
func (p *pins) path(names ...string) string {
	return filepath.Join(append([]string{p.root, p.version}, names...)...)
}

// names returns what is pinned in a folder of this version's.
func (p *pins) names(folder ...string) ([]string, error) {
	entries, err := os.ReadDir(p.path(folder...))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// others returns the folders of other versions.
func (p *pins) others() (others []*pins, err error) {
	entries, err := os.ReadDir(p.root)
	for _, e := range entries {
		if e.IsDir() && e.Name() != p.version {
			others = append(others, &pins{root: p.root, version: e.Name()})
		}
	}
	return others, err
}

// remove unpins everything, of all versions.
func (p *pins) remove() error {
	if err := os.RemoveAll(p.root); err != nil {
		return fmt.Errorf("unpin: %w", err)
	}
	return nil
}

// lend gives the lock to whoever takes it: the process that is to take this one's place. Until reclaim this one must not
// change anything.
func (p *pins) lend() error {
	p.lent.Store(true)
	p.lentAt = time.Now()
	if err := unix.Flock(int(p.lock.Fd()), unix.LOCK_UN); err != nil {
		return fmt.Errorf("unlock %s: %w", p.root, err)
	}
	return nil
}

// heirTime is how long the process that is to take this one's place has to take the lock.
const heirTime = 10 * time.Second

// reclaim takes a lock back that was lent and that nobody has taken. It reports whether this process has it.
func (p *pins) reclaim() bool {
	if !p.lent.Load() {
		return true
	}
	if time.Since(p.lentAt) < heirTime || unix.Flock(int(p.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return false
	}
	p.lent.Store(false)
	return true
}

// close gives the lock back.
func (p *pins) close() { p.lock.Close() }

// onBPF reports whether a path, or what of it there is, lies in a bpffs.
func onBPF(path string) bool {
	for ; ; path = filepath.Dir(path) {
		var s unix.Statfs_t
		err := unix.Statfs(path, &s)
		if err == nil {
			return s.Type == unix.BPF_FS_MAGIC
		}
		if !errors.Is(err, unix.ENOENT) || path == filepath.Dir(path) {
			return false
		}
	}
}

// mountBPF mounts a bpffs at the folder that a path lies in, if it lies in none. It hides nothing: that folder must be empty.
func mountBPF(path string) error {
	if onBPF(path) {
		return nil
	}
	at := filepath.Dir(path)
	if err := os.MkdirAll(at, 0o755); err != nil {
		return fmt.Errorf("folder for a bpffs: %w", err)
	}
	entries, err := os.ReadDir(at)
	if err != nil {
		return fmt.Errorf("folder for a bpffs: %w", err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is no bpffs, and not empty, so none is mounted there (choose a folder in a bpffs by --bpf-pin)", at)
	}
	if err := unix.Mount("bpf", at, "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700"); err != nil {
		return fmt.Errorf("mount a bpffs at %s: %w (mount -t bpf bpf %s)", at, err, at)
	}
	return nil
}
