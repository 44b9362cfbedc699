package lvsproxy

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/internal/program"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

const (
	// commandTimeout bounds a fallbackcommand and a callback.
	commandTimeout = time.Minute
	// maxCommands bounds how many of them run at once.
	maxCommands = 16
)

// fallbackCommands runs the fallbackcommand of each service: with start when it is known that no real server is alive, and
// with stop once one is. A service's commands run one after the other; what has changed back meanwhile is not run at all.
type fallbackCommands struct {
	log   *slog.Logger
	limit chan struct{}
	wg    sync.WaitGroup

	mu       sync.Mutex
	ctx      context.Context // ends the commands
	services map[config.VirtualID]*fallbackState
}

// fallbackState is what is known of one service.
type fallbackState struct {
	command string
	reals   int                     // how many real servers are configured
	alive   map[netip.AddrPort]bool // those that have had a result, and which
	want    string                  // start, stop, or nothing before either is known
	done    string                  // what ran last
	running bool
}

func newFallbackCommands(log *slog.Logger) *fallbackCommands {
	return &fallbackCommands{log: log, limit: make(chan struct{}, maxCommands), ctx: context.Background(), services: map[config.VirtualID]*fallbackState{}}
}

// start is called once, before all else. The commands end with ctx.
func (f *fallbackCommands) start(ctx context.Context) { f.ctx = ctx }

// wait waits until all commands have ended.
func (f *fallbackCommands) wait() { f.wg.Wait() }

// configure takes the commands of all services. A command that has changed is not run for what it has missed.
func (f *fallbackCommands) configure(virtuals map[config.VirtualID]*config.Virtual) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, v := range virtuals {
		s := f.services[id]
		if s == nil {
			s = &fallbackState{alive: map[netip.AddrPort]bool{}}
			f.services[id] = s
		}
		s.command, s.reals = v.FallbackCommand, len(v.Reals)
	}
	for id := range f.services {
		if virtuals[id] == nil {
			delete(f.services, id)
		}
	}
}

// note takes an event. known tells that it is from before a restart, and was acted on then.
func (f *fallbackCommands) note(e service.Event, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.services[e.Virtual]
	if s == nil {
		return
	}
	switch e.Kind {
	case service.ServerUp:
		s.alive[e.Server] = true
	case service.ServerDown:
		s.alive[e.Server] = false
	case service.ServerRemoved:
		delete(s.alive, e.Server)
	default:
		return
	}
	switch {
	case s.anyAlive():
		s.want = "stop"
	case len(s.alive) >= s.reals:
		s.want = "start"
	}
	if known {
		s.done = s.want
	}
	if s.want != s.done && !s.running {
		s.running = true
		f.wg.Go(func() { f.run(e.Virtual, s) })
	}
}

func (s *fallbackState) anyAlive() bool {
	for _, alive := range s.alive {
		if alive {
			return true
		}
	}
	return false
}

// run runs a service's commands until what ran last is what is wanted.
func (f *fallbackCommands) run(id config.VirtualID, s *fallbackState) {
	for {
		f.mu.Lock()
		command, status := s.command, s.want
		if status == s.done || f.ctx.Err() != nil {
			s.running = false
			f.mu.Unlock()
			return
		}
		s.done = status
		f.mu.Unlock()
		if command != "" {
			f.limit <- struct{}{}
			runCommand(f.ctx, f.log, "fallbackcommand", "/bin/sh", "-c", command+` "$@"`, "sh", status, id.Target(), string(id.Protocol))
			<-f.limit
		}
	}
}

// runCommand runs a program that a directive names, and logs what came of it.
func runCommand(ctx context.Context, log *slog.Logger, directive, path string, args ...string) {
	start := time.Now()
	output, err := program.Run(ctx, commandTimeout, path, args...)
	attrs := []any{"directive", directive, "args", args, "took", time.Since(start).Round(time.Millisecond)}
	if output != "" {
		attrs = append(attrs, "output", output)
	}
	if err != nil {
		log.Error("a program failed", append(attrs, "error", err)...)
		return
	}
	log.Info("ran a program", attrs...)
}
