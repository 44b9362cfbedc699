package ebpf

import (
	"time"

	"github.com/cilium/ebpf"

	"github.com/lvsession/lvsession/lvsproxy/dataplane/ebpf/internal/bpf"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// stateNames are IPVS's, by state.
var stateNames = [...]string{
	"NONE", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT", "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "SYNACK", "UDP",
}

// Conns implements [service.Conns].
func (d *Dataplane) Conns(s *service.Service, yield func(service.Conn) bool) {
	d.each(s, func(_ *ebpf.Map, f bpf.KernelFlow, c bpf.KernelConn, now uint64) bool {
		if c.Expires < now || int(c.State) >= len(stateNames) {
			return true
		}
		return yield(service.Conn{
			Protocol: s.ID().Protocol, State: stateNames[c.State], Expires: time.Duration(c.Expires - now),
			Client: addrOf(f.From, f.FromPort), Virtual: addrOf(f.To, f.ToPort), Server: addrOf(c.Rip, c.Port),
		})
	})
}

// each calls do for each connection of a service that is in the tables, until do returns false.
func (d *Dataplane) each(s *service.Service, do func(m *ebpf.Map, f bpf.KernelFlow, c bpf.KernelConn, now uint64) bool) {
	d.mu.Lock()
	k, f := d.kernel, d.fronts[s.ID()]
	d.mu.Unlock()
	if k == nil || f == nil || f.service != s {
		return
	}
	for _, m := range []*ebpf.Map{k.objects.Conns, k.objects.Halves} {
		var cursor ebpf.MapBatchCursor
		for end := false; !end; {
			var keys []bpf.KernelFlow
			var values []bpf.KernelConn
			var err error
			d.using.RLock() // the maps are not closed meanwhile
			if !k.closed {
				keys, values, end, err = entries[bpf.KernelFlow, bpf.KernelConn](m, &cursor)
			}
			d.using.RUnlock()
			if err != nil {
				d.log.Warn("the connections cannot be read", "error", err)
			}
			if err != nil || len(keys) == 0 && !end {
				return
			}
			now := monotonic()
			for i, c := range values {
				if c.Service == f.id && !do(m, keys[i], c, now) {
					return
				}
			}
		}
	}
}

// End implements [service.Ender]. What comes of such a connection then is of none: the machine refuses it.
func (d *Dataplane) End(s *service.Service, server *service.Server) (ended int) {
	gone := map[uint32]load{}
	d.each(s, func(m *ebpf.Map, f bpf.KernelFlow, c bpf.KernelConn, now uint64) bool {
		if addrOf(c.Rip, c.Port) != server.Addr() || m.Delete(f) != nil {
			return true
		}
		l := gone[c.Server]
		l.add(c.State)
		gone[c.Server] = l
		if c.Expires >= now {
			ended++
		}
		return true
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.kernel != nil {
		d.kernel.countDown(gone)
	}
	return ended
}
