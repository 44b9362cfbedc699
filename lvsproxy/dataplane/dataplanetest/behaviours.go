package dataplanetest

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/lvsession/lvsession/lvsproxy/check"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/scheduler"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// expected is the service as the director has it in mind: it tells where each connection must go.
func (b *bed) expected(sched string, weights [2]int) *service.Service {
	b.Helper()
	v := config.Virtual{
		ID: config.VirtualID{Protocol: config.TCP, Addr: netip.AddrPortFrom(b.vip, port)}, Scheduler: sched, Check: config.Check{Type: config.CheckOn},
	}
	for i, addr := range b.reals {
		v.Reals = append(v.Reals, config.Real{Addr: netip.AddrPortFrom(addr, port), Forward: b.forward, Weight: weights[i]})
	}
	s, err := service.New(v)
	if err != nil {
		b.Fatal(err)
	}
	for _, r := range v.Reals {
		s.SetState(r.Addr, check.Up, "")
	}
	return s
}

// order: connections that stay open go to the servers in the sequence of the scheduler.
func order(b *bed) {
	b.serve(echo)
	for _, tt := range []struct {
		scheduler string
		weights   [2]int
		picks     int
	}{
		{"rr", [2]int{1, 1}, 6}, {"wrr", [2]int{3, 1}, 12}, {"lc", [2]int{1, 1}, 6}, {"wlc", [2]int{3, 1}, 12},
	} {
		b.Run(tt.scheduler, func(b *bed) {
			b.start("\tscheduler=", tt.scheduler, "\n", b.realLine(1, fmt.Sprint(tt.weights[0])), b.realLine(2, fmt.Sprint(tt.weights[1])))
			mind := b.expected(tt.scheduler, tt.weights)
			var got, want []int
			var conns []*conn
			for range tt.picks {
				c := b.dial(0)
				conns, got = append(conns, c), append(got, c.server)
				server := mind.Pick(scheduler.Flow{Client: netip.AddrPortFrom(b.clients[0], 1024), VIP: netip.AddrPortFrom(b.vip, port)}, nil)
				server.Opening()
				server.Established()
				want = append(want, b.number(server.Addr().Addr()))
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				b.Errorf("the servers were %v, want %v", got, want)
			}
			b.alive(conns)
			seen, err := netip.ParseAddrPort(conns[0].seen)
			if err != nil {
				b.Fatal(err)
			}
			if got := seen.Addr() == b.clients[0]; got != b.subject.Transparent {
				b.Errorf("the server sees the client as %v", seen)
			}
		})
	}
}

// Run is a part of a behaviour, in a bed of its own.
func (b *bed) Run(name string, f func(*bed)) {
	b.T.Run(name, func(t *testing.T) { f(newBed(t, b.rig, b.subject, b.program, b.forward, b.family)) })
}

// number is a real server's.
func (b *bed) number(addr netip.Addr) int {
	for i, r := range b.reals {
		if r == addr {
			return i + 1
		}
	}
	return 0
}

// sameClient: the schedulers that go by the client's address send it where the director has in mind.
func sameClient(b *bed) {
	b.serve(echo)
	for _, name := range []string{"sh", "mh"} {
		b.Run(name, func(b *bed) {
			b.start("\tscheduler=", name, "\n", b.both())
			mind := b.expected(name, [2]int{1, 1})
			var shares [2]int
			for i, client := range b.clients {
				server := mind.Pick(scheduler.Flow{Client: netip.AddrPortFrom(client, 1024), VIP: netip.AddrPortFrom(b.vip, port)}, nil)
				want := b.number(server.Addr().Addr())
				if name == "mh" && b.subject.LargeTable {
					want = b.dial(i).server // whoever it is, it stays
				}
				shares[want-1]++
				for range 2 {
					if got := b.dial(i).server; got != want {
						b.Errorf("%v went to server %d, want %d", client, got, want)
					}
				}
			}
			if shares[0] == 0 || shares[1] == 0 {
				b.Errorf("the clients do not tell servers apart: %v", shares)
			}
		})
	}
}

// weight: a weight that changes counts for new connections and breaks none.
func weight(b *bed) {
	b.serve(echo)
	b.start("\tscheduler=wrr\n", b.both())
	conns, shares := b.dialAll(4, 0)
	if shares != [2]int{2, 2} {
		b.Errorf("with equal weights: %v", shares)
	}
	b.reload(map[int]int{1: 3, 2: 1}, "\tscheduler=wrr\n", b.realLine(1, "3"), b.realLine(2, "1"))
	more, shares := b.dialAll(8, 0)
	if shares != [2]int{6, 2} {
		b.Errorf("with weights 3 and 1: %v", shares)
	}
	b.reload(map[int]int{1: 0, 2: 1}, "\tscheduler=wrr\n", b.realLine(1, "0"), b.realLine(2, "1"))
	last, shares := b.dialAll(3, 0)
	if shares != [2]int{0, 3} {
		b.Errorf("with weights 0 and 1: %v", shares)
	}
	b.alive(append(append(conns, more...), last...))
}

// removal: a server that was removed gets no new connection, and keeps those that it has, unless the dataplane cuts them off.
func removal(b *bed) {
	b.serve(echo)
	b.start("\tscheduler=rr\n", b.both())
	conns, shares := b.dialAll(4, 0)
	if shares != [2]int{2, 2} {
		b.Errorf("with both: %v", shares)
	}
	b.reload(map[int]int{1: 1}, "\tscheduler=rr\n", b.realLine(1, ""))
	more, shares := b.dialAll(3, 0)
	if shares != [2]int{3, 0} {
		b.Errorf("without the second: %v", shares)
	}
	if b.subject.CutsOff {
		conns = of(1, conns)
	} else {
		b.eventually("the removed server is known to have two connections", func() error {
			if s := b.server(2); s.ActiveConns != 2 {
				return fmt.Errorf("%+v", s)
			}
			return nil
		})
	}
	b.alive(append(conns, more...))
	b.reload(map[int]int{1: 1, 2: 1}, "\tscheduler=rr\n", b.both())
	if _, shares := b.dialAll(4, 0); shares != [2]int{2, 2} {
		b.Errorf("with the second again: %v", shares)
	}
	b.alive(append(conns, more...))
}

// drain: connections to a server that was removed go on for draintimeout, and then their clients learn of their end when they
// speak. The others go on.
func drain(b *bed) {
	b.serve(echo)
	b.start("\tscheduler=rr\n\tdraintimeout=1\n", b.both())
	conns, _ := b.dialAll(4, 0)
	b.reload(map[int]int{1: 1}, "\tscheduler=rr\n\tdraintimeout=1\n", b.realLine(1, ""))
	var stay []*conn
	for i, c := range conns {
		if c.server == 1 {
			stay = append(stay, c)
			continue
		}
		b.eventually(fmt.Sprintf("connection %d, to the removed server, ends", i), func() error {
			if err := c.say("still here?"); err != nil {
				return nil
			}
			return errors.New("it does not")
		})
	}
	b.eventually("the removed server has no connections", func() error {
		if s := b.server(2); s.ActiveConns+s.InactConns > 0 {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	if len(stay) != 2 {
		b.Errorf("%d connections went to the first server, want 2", len(stay))
	}
	b.alive(stay)
}

// threshold: a server has no more connections than its upper threshold, and gets new ones below the lower one.
func threshold(b *bed) {
	b.serve(echo)
	b.start("\tscheduler=rr\n", b.realLine(1, "1 l:1 u:2"), b.realLine(2, ""))
	conns, shares := b.dialAll(4, 0)
	if shares != [2]int{2, 2} {
		b.Errorf("up to the threshold: %v", shares)
	}
	// A dataplane that counts by itself learns of the threshold within its interval.
	b.eventually("the first server is at its threshold", func() error {
		if s := b.server(1); s.ActiveConns+s.InactConns != 2 {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	b.eventually("the first server gets no more", func() error {
		if c := b.dial(0); c.server == 1 {
			c.SetLinger(0)
			c.Close()
			return fmt.Errorf("it does")
		}
		return nil
	})
	if _, shares := b.dialAll(3, 0); shares != [2]int{0, 3} {
		b.Errorf("at the threshold: %v", shares)
	}
	for _, c := range conns {
		if c.server == 1 {
			c.SetLinger(0)
			c.Close()
		}
	}
	b.eventually("the first server gets connections again", func() error {
		if b.dial(0).server != 1 {
			return fmt.Errorf("it does not")
		}
		return nil
	})
}

// persistence: a client stays at its server, until that takes no more.
func persistence(b *bed) {
	b.serve(echo)
	b.start("\tscheduler=rr\n\tpersistent=600\n", b.both())
	conns, shares := b.dialAll(4, 0)
	first := conns[0].server
	if shares[first-1] != 4 {
		b.Errorf("one client: %v", shares)
	}
	other := b.dial(1).server
	if other == first {
		b.Errorf("the next client went to server %d too", first)
	}
	if again := b.dial(1).server; again != other {
		b.Errorf("the other client went to server %d after %d", again, other)
	}
	b.eventually("each server is known to have a client", func() error {
		for n := range 2 {
			if s := b.server(n + 1); s.PersistConns != 1 {
				return fmt.Errorf("%+v", s)
			}
		}
		return nil
	})
	weights := map[int]int{1: 1, 2: 1}
	weights[first] = 0
	b.reload(weights, "\tscheduler=rr\n\tpersistent=600\n", b.realLine(1, fmt.Sprint(weights[1])), b.realLine(2, fmt.Sprint(weights[2])))
	if got := b.dial(0).server; got != other {
		b.Errorf("with its server at weight 0 the client went to %d", got)
	}
	b.alive(conns)
}

// fallback: the fallback server gets connections exactly while no real server is alive.
func fallback(b *bed) {
	s := b.serve(echo)
	stands := func(yes bool) {
		b.Helper()
		b.eventually(fmt.Sprintf("the fallback is in the table: %v", yes), func() error {
			for _, server := range b.table().Servers {
				if server.Fallback == yes {
					return nil
				}
			}
			return fmt.Errorf("%+v", b.table().Servers)
		})
	}
	lines := []string{
		"\tchecktype=connect\n\tchecktimeout=1\n\tfailurecount=1\n\tscheduler=rr\n",
		b.realLine(1, ""), fmt.Sprintf("\tfallback%s=%s %s\n", b.virtual[len("virtual"):], netip.AddrPortFrom(b.reals[1], port), b.forward),
	}
	b.start(lines...)
	conns, shares := b.dialAll(2, 0)
	if shares != [2]int{2, 0} {
		b.Errorf("with the real server: %v", shares)
	}
	s.stop(1)
	stands(true)
	more, shares := b.dialAll(2, 0)
	if shares != [2]int{0, 2} {
		b.Errorf("without the real server: %v", shares)
	}
	if b.subject.CutsOff {
		conns = nil
	}
	b.alive(append(conns, more...))
	s.listen(1, echo)
	stands(false)
	last, shares := b.dialAll(2, 0)
	if shares != [2]int{2, 0} {
		b.Errorf("with the real server again: %v", shares)
	}
	if b.subject.CutsOff {
		more = nil
	}
	b.alive(slices.Concat(conns, more, last))
}

// counts: connections are counted while they are open and when they have been, and what they carried.
func counts(b *bed) {
	const each, size = 3, 100_000
	b.serve(echo)
	b.start("\tscheduler=rr\n", b.both())
	conns, _ := b.dialAll(2*each, 0)
	for _, c := range conns {
		if err := c.echo(size); err != nil {
			b.Fatal(err)
		}
	}
	are := func(active int64, more func(s service.ServerSnapshot) bool) func() error {
		return func() error {
			for n := range 2 {
				if s := b.server(n + 1); s.ActiveConns != active || !more(s) {
					return fmt.Errorf("%+v", s)
				}
			}
			return nil
		}
	}
	b.eventually("the open connections and their bytes are counted", are(each, func(s service.ServerSnapshot) bool {
		// Whether the headers of packets count is the dataplane's. What gate and ipip send back nobody sees.
		in := s.InBytes >= each*size && s.InBytes < each*size*3/2 && s.InPackets > each
		out := s.OutBytes >= each*size && s.OutBytes < each*size*3/2 && s.OutPackets > each
		if b.forward != config.Masq {
			out = s.OutBytes < size/10 // IPVS counts what it says of a way that is too narrow for a tunnel
		}
		return s.Conns == each && s.InactConns == 0 && in && out
	}))
	var listed int
	if err := b.admin.Conns(b.Context(), func(c service.Conn) bool {
		if c.State == "ESTABLISHED" && c.Client.Addr() == b.clients[0] && c.Virtual == netip.AddrPortFrom(b.vip, port) && b.number(c.Server.Addr()) > 0 {
			listed++
		}
		return true
	}); err != nil {
		b.Error(err)
	}
	if listed != len(conns) {
		b.Errorf("%d connections are listed, want %d", listed, len(conns))
	}
	for _, c := range conns {
		c.Close()
	}
	b.eventually("closed connections are not active", are(0, func(s service.ServerSnapshot) bool { return s.Conns == each }))
}
