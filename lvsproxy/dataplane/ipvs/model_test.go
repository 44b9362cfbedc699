package ipvs

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/ipvs/internal/netlink"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/ipvs/internal/table"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// model is an IPVS that obeys as the kernel does and fails where the kernel does: EEXIST, ESRCH, ENOENT.
type model struct {
	mu       sync.Mutex
	services map[config.VirtualID]table.Service
	servers  map[config.VirtualID][]netlink.Counted
	timeouts service.Timeouts
	daemons  map[string]service.SyncDaemon
	steps    []table.Step
	fails    error // what reading the services fails with
}

func newModel() *model {
	return &model{
		services: map[config.VirtualID]table.Service{}, servers: map[config.VirtualID][]netlink.Counted{},
		timeouts: service.DefaultTimeouts, daemons: map[string]service.SyncDaemon{},
	}
}

func (m *model) Services() ([]table.Service, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.services)), m.fails
}

func (m *model) Servers(id config.VirtualID) ([]netlink.Counted, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.servers[id]), nil
}

func (m *model) Do(s table.Step) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.steps = append(m.steps, s)
	id := s.Service.ID
	_, there := m.services[id]
	switch {
	case s.Op == table.AddService && there:
		return unix.EEXIST
	case s.Op != table.AddService && !there:
		return unix.ESRCH
	case s.Op == table.RemoveService:
		delete(m.services, id)
		delete(m.servers, id)
		return nil
	case s.Op == table.AddService || s.Op == table.EditService:
		m.services[id] = s.Service
		return nil
	}
	return m.doServer(s)
}

func (m *model) doServer(s table.Step) error {
	servers := m.servers[s.Service.ID]
	i := slices.IndexFunc(servers, func(c netlink.Counted) bool { return c.Addr == s.Server.Addr })
	switch {
	case s.Op == table.AddServer && i >= 0:
		return unix.EEXIST
	case s.Op != table.AddServer && i < 0:
		return unix.ENOENT
	case s.Op == table.AddServer:
		servers = slices.Insert(servers, 0, netlink.Counted{Server: s.Server})
	case s.Op == table.EditServer:
		servers[i].Server = s.Server
	default:
		servers = slices.Delete(servers, i, i+1)
	}
	m.servers[s.Service.ID] = servers
	return nil
}

// count has the kernel have counted something of a server.
func (m *model) count(id config.VirtualID, addr netip.AddrPort, c service.Counts) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.servers[id] {
		if m.servers[id][i].Addr == addr {
			m.servers[id][i].Counts = c
		}
	}
}

// fail has the services be unreadable, or readable again.
func (m *model) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fails = err
}

// weights returns the servers of a service in their order as "address weight"; false without the service.
func (m *model) weights(id config.VirtualID) (servers []string, there bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.servers[id] {
		servers = append(servers, fmt.Sprintf("%s %d", s.Addr, s.Weight))
	}
	_, there = m.services[id]
	return servers, there
}

// taken returns the steps since it was last asked.
func (m *model) taken() []table.Step {
	m.mu.Lock()
	defer m.mu.Unlock()
	steps := m.steps
	m.steps = nil
	return steps
}

func (m *model) Timeouts() (service.Timeouts, error) { return m.timeouts, nil }

func (m *model) SetTimeouts(t service.Timeouts) error {
	m.timeouts = t.Or(m.timeouts)
	return nil
}

func (m *model) StartSync(d service.SyncDaemon) error {
	if _, runs := m.daemons[d.State]; runs {
		return unix.EEXIST
	}
	m.daemons[d.State] = d
	return nil
}

func (m *model) StopSync(state string) error {
	if _, runs := m.daemons[state]; !runs {
		return unix.ESRCH
	}
	delete(m.daemons, state)
	return nil
}

func (m *model) SyncDaemons() ([]service.SyncDaemon, error) {
	return slices.Collect(maps.Values(m.daemons)), nil
}
