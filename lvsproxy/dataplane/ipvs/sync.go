package ipvs

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lvsession/lvsession/lvsproxy/check"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/ipvs/internal/netlink"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/ipvs/internal/table"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// Why a front stays dirty that has not failed.
var (
	// errNotSettled: it is not known yet which servers are alive. What the kernel has of the service goes on until then.
	errNotSettled = errors.New("not settled")
	errDraining   = errors.New("draining")
)

// sync brings the services that have changed into the kernel. d.mu is held.
func (d *Dataplane) sync() {
	var dirty []*front
	for _, f := range d.fronts {
		if f.dirty.Swap(false) {
			dirty = append(dirty, f)
		}
	}
	if len(dirty) == 0 {
		return
	}
	services, err := d.kernel.Services()
	there := make(map[config.VirtualID]table.Service, len(services))
	for _, s := range services {
		there[s.ID] = s
	}
	for _, f := range dirty {
		failed := err
		if failed == nil {
			failed = d.bring(f, there)
		}
		d.retry(f, failed)
	}
}

// retry has a front that has failed brought into the kernel again, at the next tick.
func (d *Dataplane) retry(f *front, err error) {
	if err == nil {
		return
	}
	f.dirty.Store(true)
	if !errors.Is(err, errNotSettled) && !errors.Is(err, errDraining) {
		d.log.Error("the kernel has not got the table of a virtual service; it is tried again", "virtual", f.service.ID().Name(), "error", err)
	}
}

// bring brings one service into the kernel, which has these services.
func (d *Dataplane) bring(f *front, there map[config.VirtualID]table.Service) error {
	id := f.service.ID()
	has, is := there[id]
	if f.closing {
		return d.drain(id, is)
	}
	if !isSettled(f.service) {
		return errNotSettled
	}
	now := f.service.Snapshot()
	if !is && unknown(now) && time.Since(f.opened) < grace {
		return errNotSettled
	}
	var have []table.Entry
	if is {
		servers, err := d.kernel.Servers(id)
		if err != nil {
			return err
		}
		have = []table.Entry{{Service: has, Servers: plain(servers)}}
	}
	return d.do(table.Diff(have, []table.Entry{wanted(now)}, nil))
}

// do takes steps. One that fails keeps none of the others back, unless it is the service itself that cannot be there.
func (d *Dataplane) do(steps []table.Step) error {
	var errs []error
	for _, s := range steps {
		err := d.kernel.Do(s)
		if err != nil && s.Op == table.AddService {
			return err
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// grace is how long a new service waits for the first checks of its servers once one is alive: in the kernel's list they
// stand in the order in which they were added, and cannot change places, so those whose checks answer at once are added together.
const grace = 200 * time.Millisecond

// unknown reports whether some servers of a service have not had their first check.
func unknown(s service.Snapshot) bool {
	return slices.ContainsFunc(slices.Concat(s.Servers, s.Out), func(server service.ServerSnapshot) bool {
		return server.State == check.Unknown && server.Origin != service.ByHand
	})
}

// drain gives the servers of a closed service the weight 0, and removes the service once none of its connections is active.
func (d *Dataplane) drain(id config.VirtualID, is bool) error {
	if !is {
		delete(d.fronts, id)
		return nil
	}
	s := table.Service{ID: id}
	servers, err := d.kernel.Servers(id)
	if err != nil {
		return err
	}
	var steps []table.Step
	for _, server := range servers {
		if server.Weight != 0 {
			server.Weight = 0
			steps = append(steps, table.Step{Op: table.EditServer, Service: s, Server: server.Server})
		}
	}
	if err := d.do(steps); err != nil {
		return err
	}
	if servers, err = d.kernel.Servers(id); err != nil { // now that there come no more
		return err
	}
	if active(servers) > 0 {
		return errDraining
	}
	if err := d.kernel.Do(table.Step{Op: table.RemoveService, Service: s}); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("a closed service: %w", err)
	}
	delete(d.fronts, id)
	return nil
}

// active returns how many connections of servers are.
func active(servers []netlink.Counted) (n int64) {
	for _, s := range servers {
		n += s.Counts.Active
	}
	return n
}

func isSettled(s *service.Service) bool {
	select {
	case <-s.Settled():
		return true
	default:
		return false
	}
}

// plain returns servers without their counts.
func plain(servers []netlink.Counted) []table.Server {
	all := make([]table.Server, len(servers))
	for i, s := range servers {
		all[i] = s.Server
	}
	return all
}

// IP_VS_SVC_F_*.
const (
	flagOnePacket = 0x4
	flagSched1    = 0x8
	flagSched2    = 0x10
	flagSched3    = 0x20
)

// schedFlags are the numbers of the words that the configuration has for them.
var schedFlags = map[string]uint32{
	"flag-1": flagSched1, "sh-fallback": flagSched1, "mh-fallback": flagSched1,
	"flag-2": flagSched2, "sh-port": flagSched2, "mh-port": flagSched2,
	"flag-3": flagSched3,
}

// wanted returns what the kernel is to have of a service.
func wanted(s service.Snapshot) table.Entry {
	e := table.Entry{Service: table.Service{ID: s.ID, Scheduler: s.Scheduler}, Servers: make([]table.Server, len(s.Servers))}
	if s.OnePacket {
		e.Service.Flags |= flagOnePacket
	}
	for word := range strings.SplitSeq(s.SchedFlags, ",") {
		e.Service.Flags |= schedFlags[word]
	}
	if s.Persistence.Timeout > 0 {
		e.Service.Timeout, e.Service.Netmask = s.Persistence.Timeout, s.Persistence.Netmask
	}
	for i, server := range s.Servers {
		e.Servers[i] = table.Server{
			Addr: server.Addr, Forward: server.Forward, Weight: server.Weight, Upper: server.Upper, Lower: server.Lower,
			Tunnel: tunnel(server),
		}
	}
	return e
}

// tunnel returns what a server's tunnel is, in the one form that a [table.Server] has.
func tunnel(s service.ServerSnapshot) service.Tunnel {
	if s.Forward != config.IPIP {
		return service.Tunnel{}
	}
	t := s.Tunnel
	if t.Type == "ipip" {
		t.Type = ""
	}
	if t.Flags == "nocsum" {
		t.Flags = ""
	}
	return t
}
