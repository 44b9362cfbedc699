package ipvs

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/lvsession/lvsession/lvsproxy/check"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/ipvs/internal/table"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

var (
	vip = config.VirtualID{Protocol: config.TCP, Addr: netip.MustParseAddrPort("192.0.2.1:80")}
	one = netip.MustParseAddrPort("10.0.0.1:80")
	two = netip.MustParseAddrPort("10.0.0.2:80")
)

// spec is a service of two servers, of weights 1 and 2.
func spec() config.Virtual {
	return config.Virtual{
		ID: vip, Scheduler: "rr", Quiescent: true, CleanStop: true, Reals: []config.Real{
			{Addr: one, Forward: config.Masq, Weight: 1}, {Addr: two, Forward: config.Gate, Weight: 2},
		},
	}
}

func newService(t *testing.T, v config.Virtual) *service.Service {
	t.Helper()
	s, err := service.New(v)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// up is a service whose servers are alive.
func up(t *testing.T, v config.Virtual) *service.Service {
	t.Helper()
	s := newService(t, v)
	for _, r := range v.Reals {
		s.SetState(r.Addr, check.Up, "")
	}
	return s
}

// dataplaneOf returns a dataplane that drives m, and shuts it down at the end at the latest.
func dataplaneOf(t *testing.T, m *model) *Dataplane {
	t.Helper()
	d := New(Options{Kernel: func() (Kernel, error) { return m, nil }})
	t.Cleanup(func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		d.Shutdown(ended)
	})
	return d
}

// open opens a service and waits until the dataplane has nothing to do.
func open(t *testing.T, d *Dataplane, s *service.Service) {
	t.Helper()
	if err := d.Open(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

// has fails the test unless the kernel has the servers of a service, in this order.
func has(t *testing.T, m *model, servers ...string) {
	t.Helper()
	if got, there := m.weights(vip); !there || !slices.Equal(got, servers) {
		t.Errorf("the kernel has %q (a service: %t) instead of %q", got, there, servers)
	}
}

func TestTheTableIsTheKernels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel()
		d, s := dataplaneOf(t, m), up(t, spec())
		open(t, d, s)
		has(t, m, "10.0.0.2:80 2", "10.0.0.1:80 1") // as the director shows it: what was added last comes first
		m.taken()
		s.SetState(one, check.Down, "refused")
		synctest.Wait()
		has(t, m, "10.0.0.2:80 2", "10.0.0.1:80 0")
		if steps := m.taken(); len(steps) != 1 || steps[0].Op != table.EditServer {
			t.Errorf("a weight changed by %v", steps)
		}
	})
}

func TestWhatWasLeftIsAdopted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel()
		before := dataplaneOf(t, m)
		open(t, before, up(t, spec()))
		others := config.VirtualID{Protocol: config.FWM, FWMark: 1}
		if err := m.Do(table.Step{Op: table.AddService, Service: table.Service{ID: others}}); err != nil {
			t.Fatal(err)
		}
		before.Leave()
		before.Shutdown(t.Context())
		m.taken()
		after, s := dataplaneOf(t, m), newService(t, spec())
		open(t, after, s)
		if steps := m.taken(); len(steps) != 0 {
			t.Errorf("before anything is known of the servers: %v", steps)
		}
		s.SetState(one, check.Up, "")
		s.SetState(two, check.Up, "")
		synctest.Wait()
		for _, step := range m.taken() {
			if step.Op != table.EditServer {
				t.Errorf("adopting it took %v", step)
			}
		}
		has(t, m, "10.0.0.2:80 2", "10.0.0.1:80 1")
		after.Shutdown(t.Context())
		if _, there := m.weights(vip); there {
			t.Error("the service is still there after the end")
		}
		if _, there := m.weights(others); !there {
			t.Error("somebody else's service is gone")
		}
	})
}

func TestAClosedServiceGoesWithItsConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel()
		d, s := dataplaneOf(t, m), up(t, spec())
		open(t, d, s)
		m.count(vip, one, service.Counts{Active: 1})
		d.Close(s)
		synctest.Wait()
		has(t, m, "10.0.0.2:80 0", "10.0.0.1:80 0")
		m.count(vip, one, service.Counts{})
		time.Sleep(service.EstimateInterval) // of the bubble's clock
		synctest.Wait()
		if _, there := m.weights(vip); there {
			t.Error("it is still there without connections")
		}
	})
}

func TestAServiceOpenedAnewTakesConnectionsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel()
		d, s := dataplaneOf(t, m), up(t, spec())
		open(t, d, s)
		m.count(vip, one, service.Counts{Active: 1})
		d.Close(s)
		synctest.Wait()
		open(t, d, up(t, spec()))
		d.Close(s) // which is another one by now
		synctest.Wait()
		has(t, m, "10.0.0.2:80 2", "10.0.0.1:80 1")
	})
}

func TestShutdownWaitsAndThenEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel()
		d := dataplaneOf(t, m)
		open(t, d, up(t, spec()))
		m.count(vip, two, service.Counts{Active: 3})
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if ended := d.Shutdown(ctx); ended != 3 {
			t.Errorf("%d connections were ended", ended)
		}
		if waited := time.Since(began); waited != time.Minute {
			t.Errorf("it waited %v", waited)
		}
		if _, there := m.weights(vip); there {
			t.Error("the service is still there")
		}
	})
}

func TestShutdownKeepsTheTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, v := newModel(), spec()
		v.CleanStop = false
		d := dataplaneOf(t, m)
		open(t, d, up(t, v))
		d.Shutdown(t.Context())
		has(t, m, "10.0.0.2:80 2", "10.0.0.1:80 1")
	})
}

func TestAKernelThatFailsIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel()
		m.fail(unix.EINTR)
		d := dataplaneOf(t, m)
		open(t, d, up(t, spec()))
		if _, there := m.weights(vip); there {
			t.Fatal("the service is there")
		}
		m.fail(nil)
		time.Sleep(service.EstimateInterval)
		synctest.Wait()
		has(t, m, "10.0.0.2:80 2", "10.0.0.1:80 1")
	})
}

func TestCountsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, v := newModel(), spec()
		v.Quiescent = false
		d, s := dataplaneOf(t, m), up(t, v)
		open(t, d, s)
		m.count(vip, one, service.Counts{Active: 2, Inactive: 1, Conns: 5, Traffic: service.Traffic{InBytes: 1 << 40}})
		d.Count(s)
		got := s.Snapshot().Servers[1]
		if got.Addr != one || got.ActiveConns != 2 || got.InactConns != 1 || got.Conns != 5 || got.InBytes != 1<<40 {
			t.Errorf("the server is %+v", got)
		}
		s.SetState(one, check.Down, "refused")
		synctest.Wait()
		has(t, m, "10.0.0.2:80 2")
		d.Count(s)
		if out := s.Snapshot().Out; len(out) != 1 || out[0].ActiveConns != 0 || out[0].Conns != 5 {
			t.Errorf("a server that is out of the table is %+v", out)
		}
	})
}

func TestEveryPortNeedsPersistence(t *testing.T) {
	v := spec()
	v.ID.Addr = netip.AddrPortFrom(v.ID.Addr.Addr(), 0)
	if err := dataplaneOf(t, newModel()).Open(t.Context(), newService(t, v)); !errors.Is(err, errEveryPort) {
		t.Errorf("it was opened: %v", err)
	}
}

func TestMissing(t *testing.T) {
	m := newModel()
	if err := dataplaneOf(t, m).Missing(); err != nil {
		t.Errorf("nothing is missing: %v", err)
	}
	m.fail(unix.EPERM)
	if err := dataplaneOf(t, m).Missing(); err == nil || err.Error() != "no CAP_NET_ADMIN" {
		t.Errorf("without the privilege: %v", err)
	}
	none := errors.New("no IPVS")
	d := New(Options{Kernel: func() (Kernel, error) { return nil, none }})
	if err := d.Open(t.Context(), newService(t, spec())); !errors.Is(err, none) || !errors.Is(d.Missing(), none) {
		t.Errorf("without IPVS it was opened: %v", err)
	}
}

func TestConnsAreTheServices(t *testing.T) {
	const list = `Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP 0A000063 D903 C0000201 0050 0A000001 0050 ESTABLISHED     899
TCP 0A000063 D904 C0000201 0051 0A000001 0050 ESTABLISHED     899
UDP 0A000063 D905 C0000201 0050 0A000001 0050 UDP             299
IP  0A000063 0000 00000007 0000 0A000001 0050 NONE            299
`
	d := New(Options{Conns: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(list)), nil }})
	for _, test := range []struct {
		id      config.VirtualID
		clients []string
	}{
		{vip, []string{"10.0.0.99:55555"}},
		{config.VirtualID{Protocol: config.TCP, Addr: netip.MustParseAddrPort("192.0.2.1:0")}, []string{"10.0.0.99:55555", "10.0.0.99:55556"}},
		{config.VirtualID{Protocol: config.FWM, FWMark: 7}, []string{"10.0.0.99:0"}},
		{config.VirtualID{Protocol: config.FWM, FWMark: 7, IPv6: true}, nil},
	} {
		v := spec()
		v.ID = test.id
		var clients []string
		d.Conns(newService(t, v), func(c service.Conn) bool {
			clients = append(clients, c.Client.String())
			return true
		})
		if !slices.Equal(clients, test.clients) {
			t.Errorf("%s has connections of %q instead of %q", test.id.Name(), clients, test.clients)
		}
	}
}

func TestTimeoutsAndDaemonsAreTheKernels(t *testing.T) {
	d := dataplaneOf(t, newModel())
	if err := d.SetTimeouts(service.Timeouts{UDP: time.Minute}); err != nil {
		t.Fatal(err)
	}
	want := service.Timeouts{UDP: time.Minute}.Or(service.DefaultTimeouts)
	if got, ok := d.Timeouts(); !ok || got != want {
		t.Errorf("the time-outs are %v (%t)", got, ok)
	}
	daemon := service.SyncDaemon{State: "master", Interface: "lo"}
	if err := d.StartSync(daemon); err != nil {
		t.Fatal(err)
	}
	if err := d.StartSync(daemon); !errors.Is(err, service.ErrDaemonRuns) {
		t.Errorf("a second daemon: %v", err)
	}
	if got, err := d.SyncDaemons(); err != nil || !slices.Equal(got, []service.SyncDaemon{daemon}) {
		t.Errorf("the daemons are %v (%v)", got, err)
	}
	if err := d.StopSync("master"); err != nil {
		t.Error(err)
	}
	if err := d.StopSync("master"); !errors.Is(err, service.ErrNoDaemon) {
		t.Errorf("no daemon: %v", err)
	}
}

func TestWantedIsWhatIPVSTakes(t *testing.T) {
	got := wanted(service.Snapshot{
		ID: vip, Scheduler: "sh", SchedFlags: "sh-fallback,sh-port", OnePacket: true,
		Persistence: config.Persistence{Timeout: time.Minute, Netmask: 24},
		Servers: []service.ServerSnapshot{
			{Addr: one, Forward: config.IPIP, Weight: 1, Upper: 9, Lower: 3, Tunnel: service.Tunnel{Type: "ipip", Flags: "nocsum"}},
			{Addr: two, Forward: config.IPIP, Tunnel: service.Tunnel{Type: "gue", Port: 6080, Flags: "csum"}},
		},
	})
	wantService := table.Service{ID: vip, Scheduler: "sh", Flags: 0x1c, Timeout: time.Minute, Netmask: 24}
	if got.Service != wantService {
		t.Errorf("the service is %+v", got.Service)
	}
	if s := got.Servers[0]; s != (table.Server{Addr: one, Forward: config.IPIP, Weight: 1, Upper: 9, Lower: 3}) {
		t.Errorf("the first server is %+v", s)
	}
	if s := got.Servers[1].Tunnel; s.Type != "gue" || s.Port != 6080 || s.Flags != "csum" {
		t.Errorf("the second server's tunnel is %+v", s)
	}
}

// Whatever the checks say, the kernel has what the director shows.
func TestTheKernelFollows(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		v := spec()
		v.Quiescent = rapid.Bool().Draw(r, "quiescent")
		states := rapid.SliceOfN(rapid.SampledFrom([]check.State{check.Up, check.Down}), 1, 12).Draw(r, "states")
		synctest.Test(t, func(t *testing.T) {
			m := newModel()
			d, s := dataplaneOf(t, m), up(t, v)
			open(t, d, s)
			for i, state := range states {
				s.SetState([]netip.AddrPort{one, two}[i%2], state, "")
				synctest.Wait()
				want := wanted(s.Snapshot())
				servers, err := m.Servers(vip)
				if err != nil {
					t.Fatal(err)
				}
				slices.SortFunc(want.Servers, func(a, b table.Server) int { return a.Addr.Compare(b.Addr) })
				got := plain(servers)
				slices.SortFunc(got, func(a, b table.Server) int { return a.Addr.Compare(b.Addr) })
				if !slices.Equal(got, want.Servers) {
					t.Fatalf("the kernel has %v instead of %v", got, want.Servers)
				}
			}
		})
	})
}
