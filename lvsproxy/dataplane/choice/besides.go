package choice

import (
	"fmt"
	"os"

	"github.com/lvsession/lvsession/lvsproxy/service"
)

// as returns the dataplane that carries, or did carry, a service as something that it may be besides.
func as[T any](d *Dataplane, s *service.Service) (ability T, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, open := d.carriers[s]
	if !open {
		c = d.closed[s]
	}
	ability, ok = c.Dataplane.(T)
	return ability, ok
}

// each calls do with the candidates that are something besides.
func each[T any](d *Dataplane, do func(c Candidate, ability T) error) error {
	for _, c := range d.options.Candidates {
		if ability, ok := c.Dataplane.(T); ok {
			if err := do(c, ability); err != nil {
				return err
			}
		}
	}
	return nil
}

// Conns implements [service.Conns].
func (d *Dataplane) Conns(s *service.Service, yield func(service.Conn) bool) {
	if lister, ok := as[service.Conns](d, s); ok {
		lister.Conns(s, yield)
	}
}

// End implements [service.Ender].
func (d *Dataplane) End(s *service.Service, server *service.Server) int {
	if ender, ok := as[service.Ender](d, s); ok {
		return ender.End(s, server)
	}
	return 0
}

// Count implements [service.Counter].
func (d *Dataplane) Count(s *service.Service) {
	if counter, ok := as[service.Counter](d, s); ok {
		counter.Count(s)
	}
}

// SetTimeouts implements [service.TimeoutSetter] for the candidates that carry something or are the default, now or
// later.
func (d *Dataplane) SetTimeouts(t service.Timeouts) error {
	d.mu.Lock()
	d.timeouts = &t
	used := d.used()
	d.mu.Unlock()
	return each(d, func(c Candidate, setter service.TimeoutSetter) error {
		if !used[c.Name] {
			return nil
		}
		return setter.SetTimeouts(t)
	})
}

// Timeouts implements [service.TimeoutGetter].
func (d *Dataplane) Timeouts() (t service.Timeouts, ok bool) {
	d.mu.Lock()
	used := d.used()
	d.mu.Unlock()
	each(d, func(c Candidate, getter service.TimeoutGetter) error {
		if used[c.Name] && !ok {
			t, ok = getter.Timeouts()
		}
		return nil
	})
	return t, ok
}

// Drops implements [service.Dropper].
func (d *Dataplane) Drops() map[string]uint64 {
	drops := map[string]uint64{}
	each(d, func(_ Candidate, dropper service.Dropper) error {
		for reason, n := range dropper.Drops() {
			drops[reason] += n
		}
		return nil
	})
	return drops
}

// used returns the names of the candidates that carry something or are the default.
func (d *Dataplane) used() map[string]bool {
	used := map[string]bool{d.options.Default: true}
	for _, c := range d.carriers {
		used[c.Name] = true
	}
	return used
}

// Leave implements [service.Leaver].
func (d *Dataplane) Leave() {
	each(d, func(_ Candidate, leaver service.Leaver) error {
		leaver.Leave()
		return nil
	})
}

// Sockets returns copies of the sockets of all candidates that have some, for a process that is to go on with them.
func (d *Dataplane) Sockets() (files []*os.File, err error) {
	err = each(d, func(_ Candidate, handing interface{ Sockets() ([]*os.File, error) }) error {
		more, err := handing.Sockets()
		files = append(files, more...)
		return err
	})
	return files, err
}

// syncer returns the candidate that synchronises connections, or an error that says why none does.
func (d *Dataplane) syncer() (service.Syncer, error) {
	why := fmt.Errorf("%w by these dataplanes: connection synchronisation", service.ErrUnsupported)
	for i, c := range d.options.Candidates {
		syncer, ok := c.Dataplane.(service.Syncer)
		if !ok {
			continue
		}
		if err := d.missing[i](); err != nil {
			why = fmt.Errorf("%w: connection synchronisation: %s: %w", service.ErrUnsupported, c.Name, err)
			continue
		}
		return syncer, nil
	}
	return nil, why
}

// StartSync implements [service.Syncer].
func (d *Dataplane) StartSync(daemon service.SyncDaemon) error {
	syncer, err := d.syncer()
	if err != nil {
		return err
	}
	return syncer.StartSync(daemon)
}

// StopSync implements [service.Syncer].
func (d *Dataplane) StopSync(state string) error {
	syncer, err := d.syncer()
	if err != nil {
		return err
	}
	return syncer.StopSync(state)
}

// SyncDaemons implements [service.Syncer].
func (d *Dataplane) SyncDaemons() ([]service.SyncDaemon, error) {
	syncer, err := d.syncer()
	if err != nil {
		return nil, nil // none can run
	}
	return syncer.SyncDaemons()
}
