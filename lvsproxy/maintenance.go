package lvsproxy

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// While a file in maintenancedir has a real server's name, the server is out, or quiescent, whatever its checks say. As
// in ldirectord the name is an address, a host name from the reverse look-up of the address, or that name's first part,
// and each may be followed by a colon and a port. Unlike ldirectord we look once a second where checks are rarer, and
// go on checking, so that the server is back as soon as the file is gone.

// maintenance finds out which real servers are in maintenance.
type maintenance struct {
	lookup func(context.Context, string) ([]string, error) // net.Resolver.LookupAddr

	mu    sync.Mutex // one look at the directory at a time
	names map[netip.Addr]hostNames
	wrong string // the last error, so that it is logged once
}

// hostNames are what an address is called, for a while.
type hostNames struct {
	names []string
	until time.Time
}

const (
	// maintenanceInterval is the longest pause between two looks at the directory.
	maintenanceInterval = time.Second
	// namesLast is how long a reverse look-up counts, and namesTimeout bounds all that one look at the directory needs.
	namesLast    = time.Minute
	namesTimeout = 5 * time.Second
	namesAtOnce  = 16
)

func newMaintenance() *maintenance {
	return &maintenance{lookup: net.DefaultResolver.LookupAddr, names: map[netip.Addr]hostNames{}}
}

// held is a real server and why it is out; an empty reason means that it is not.
type held struct {
	service *service.Service
	addr    netip.AddrPort
	port    uint16 // that the file names, which is not always the table's
	reason  string
}

// maintain looks at the directory again and again until ctx ends.
func (d *Director) maintain(ctx context.Context) {
	for {
		d.mu.Lock()
		pause := min(d.file.Spec.CheckInterval, maintenanceInterval)
		d.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		d.mu.Lock()
		file, servers := d.file, d.maintained()
		d.mu.Unlock()
		if len(servers) == 0 {
			continue
		}
		d.maintenance.decide(ctx, d.log, file.Spec.MaintenanceDir, servers)
		d.mu.Lock()
		var events []service.Event
		if d.file == file { // else a reload has decided meanwhile
			events = hold(servers)
		}
		d.mu.Unlock()
		d.publish(events)
	}
}

// maintained returns the configured real servers. It is called with the Director's lock held.
func (d *Director) maintained() []held {
	if d.file.Spec.MaintenanceDir == "" && !d.holding {
		return nil
	}
	d.holding = d.file.Spec.MaintenanceDir != "" // once more after the directive has gone
	var servers []held
	for id, v := range d.configured {
		if s := d.services[id]; s != nil {
			for _, r := range v.Reals {
				servers = append(servers, held{service: s, addr: r.Addr, port: portInFile(r)})
			}
		}
	}
	return servers
}

// portInFile returns the port that a real server's line names.
func portInFile(r config.Real) uint16 {
	if r.CheckPort != 0 && r.Forward != config.Masq {
		return r.CheckPort
	}
	return r.Addr.Port()
}

// hold takes servers out that have a reason, and lets the others be what their checks say.
func hold(servers []held) (events []service.Event) {
	for _, s := range servers {
		events = append(events, s.service.SetHeld(s.addr, s.reason)...)
	}
	return events
}

// decide looks at the directory and fills in the reasons of servers. Where it cannot be read, nobody is in maintenance,
// as in ldirectord.
func (m *maintenance) decide(ctx context.Context, log *slog.Logger, dir string, servers []held) {
	if dir == "" {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	files, err := os.ReadDir(dir)
	if err == nil {
		m.wrong = ""
		m.match(ctx, files, servers)
		return
	}
	if err.Error() != m.wrong {
		m.wrong = err.Error()
		log.Error("maintenancedir cannot be read: no server is in maintenance", "error", err)
	}
}

// match compares the names of files with those of servers.
func (m *maintenance) match(ctx context.Context, files []fs.DirEntry, servers []held) {
	present := make(map[string]bool, len(files))
	named := false // some file may be a host name
	for _, f := range files {
		present[f.Name()] = true
		named = named || !isAddress(f.Name())
	}
	if len(present) == 0 {
		return
	}
	if named {
		m.lookUp(ctx, servers)
	}
	for i := range servers {
		s := &servers[i]
		names := []string{config.HostOf(s.addr.Addr())}
		if named {
			names = append(names, m.names[s.addr.Addr()].names...)
		}
		for _, name := range names {
			for _, file := range []string{name + ":" + strconv.Itoa(int(s.port)), name} {
				if s.reason == "" && present[file] {
					s.reason = fmt.Sprintf("in maintenance: file %s", file)
				}
			}
		}
	}
}

// isAddress reports whether a file's name is an address, with a port or without.
func isAddress(name string) bool {
	if _, err := netip.ParseAddrPort(name); err == nil {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return err == nil
}

// lookUp fills in the names of all servers' addresses.
func (m *maintenance) lookUp(ctx context.Context, servers []held) {
	ctx, cancel := context.WithTimeout(ctx, namesTimeout)
	defer cancel()
	now := time.Now()
	var wg sync.WaitGroup
	var mu sync.Mutex
	slots := make(chan struct{}, namesAtOnce)
	asked := map[netip.Addr]bool{}
	for _, s := range servers {
		a := s.addr.Addr()
		if asked[a] || m.names[a].until.After(now) {
			continue
		}
		asked[a] = true
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			names, err := m.lookup(ctx, a.String())
			mu.Lock()
			defer mu.Unlock()
			if old := m.names[a]; err == nil || len(old.names) == 0 { // a name server that is away changes nothing
				m.names[a] = hostNames{withShort(names), now.Add(namesLast)}
			}
		})
	}
	wg.Wait()
}

var shortName = regexp.MustCompile(`^([a-z][a-z0-9-]+)\.`)

// withShort adds to host names, without the dot of the root, their first parts.
func withShort(names []string) []string {
	var all []string
	for _, name := range names {
		name = strings.TrimSuffix(name, ".")
		all = append(all, name)
		if m := shortName.FindStringSubmatch(name); m != nil {
			all = append(all, m[1])
		}
	}
	return all
}
