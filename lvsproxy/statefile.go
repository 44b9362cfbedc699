package lvsproxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/check"
	"github.com/lvsession/lvsession/lvsproxy/config"
)

const (
	// StateMaxAge is how old a state file may be to count: who was away for longer asks the servers anew.
	StateMaxAge = 5 * time.Minute
	// stateRefresh is how often the file is written though nothing has changed, so that its age tells how long the
	// director was away, and statePause how long it waits between two writes, however much changes.
	stateRefresh = 10 * time.Second
	statePause   = 100 * time.Millisecond
	// maxStateFile bounds what is read: some 250 bytes for each of config.MaxReals servers.
	maxStateFile = 64 << 20
	stateVersion = 1
)

// stateFile is what is kept over a restart: what the checks have found out, and what was changed by hand.
type stateFile struct {
	Version int           `json:"version"`
	Written time.Time     `json:"written"`
	Servers []serverState `json:"servers"`
	Hand    []HandEdit    `json:"hand,omitempty"`
}

// serverID is a real server of a virtual service.
type serverID struct {
	virtual config.VirtualID
	addr    netip.AddrPort
}

type serverState struct {
	Virtual config.VirtualID `json:"virtual"`
	Server  netip.AddrPort   `json:"server"`
	State   check.State      `json:"state"`
}

// readStates reads a state file. A file that is not there says nothing. The error is about one that is there and says
// nothing either: too old, or damaged. What was changed by hand counts however old it is.
func readStates(path string, now time.Time) (map[serverID]check.State, []HandEdit, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("state file: %w", err)
	}
	defer f.Close()
	var s stateFile
	if err := json.NewDecoder(io.LimitReader(f, maxStateFile)).Decode(&s); err != nil {
		return nil, nil, fmt.Errorf("state file %s: %w", path, err)
	}
	age := now.Sub(s.Written)
	switch {
	case s.Version != stateVersion:
		return nil, nil, fmt.Errorf("state file %s has version %d: expected %d", path, s.Version, stateVersion)
	case age > StateMaxAge || age < -StateMaxAge:
		return nil, s.Hand, fmt.Errorf("state file %s is %v old: expected at most %v", path, age.Round(time.Second), StateMaxAge)
	}
	states := make(map[serverID]check.State, len(s.Servers))
	for _, one := range s.Servers {
		states[serverID{one.Virtual, one.Server}] = one.State
	}
	return states, s.Hand, nil
}

// writeStates replaces a state file at once, so that no reader ever sees half of one. It is not synced: after a crash of the
// machine it is too old anyway.
func writeStates(path string, s stateFile) error {
	s.Version, s.Written = stateVersion, time.Now()
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	_, err = f.Write(b)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("state file: %w", err)
	}
	return nil
}

// stateKeeper writes a state file.
type stateKeeper struct {
	path    string
	known   func() (stateFile, bool) // false as long as the file from before has not been read
	changed chan struct{}
	log     *slog.Logger

	mu      sync.Mutex // one write at a time, so that none replaces a later one
	failing bool
}

// run writes the file whenever changed says so, every stateRefresh, and at the end.
func (k *stateKeeper) run(ctx context.Context) {
	defer k.write()
	ticker := time.NewTicker(stateRefresh)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.changed:
		case <-ticker.C:
		}
		k.write()
		select {
		case <-ctx.Done():
			return
		case <-time.After(statePause):
		}
	}
}

// write writes the file now. The first of several failures is logged.
func (k *stateKeeper) write() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	now, ok := k.known()
	if !ok {
		return nil
	}
	err := writeStates(k.path, now)
	if err != nil && !k.failing {
		k.log.Warn("what is known is not kept for a restart", "error", err)
	}
	k.failing = err != nil
	return err
}

// KeepState writes the state file now, which otherwise happens within a moment of each change: for whoever is about to
// start another Director on it. It does nothing where there is none.
func (d *Director) KeepState() error {
	if k := d.notices.state; k != nil {
		return k.write()
	}
	return nil
}
