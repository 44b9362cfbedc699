package service

import (
	"encoding/json"
	"errors"
	"maps"
	"net/netip"
	"reflect"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/lvsession/lvsession/lvsproxy/config"
)

// TestEditsAreKernelErrors: lvsadm makes its messages from the errno.
func TestEditsAreKernelErrors(t *testing.T) {
	for err, errno := range map[error]syscall.Errno{
		ErrServiceExists: syscall.EEXIST, ErrNoService: syscall.ESRCH, ErrUnknownScheduler: syscall.ENOENT,
		ErrServerExists: syscall.EEXIST, ErrNoServer: syscall.ENOENT, ErrRange: syscall.ERANGE,
	} {
		if !errors.Is(err, errno) {
			t.Errorf("%v is not %v", err, errno)
		}
	}
	if errors.Is(ErrServiceExists, ErrServerExists) {
		t.Error("two errors are the same")
	}
}

// kernel is a table of one service as IPVS keeps it: what is not there, is not there.
type kernel map[netip.AddrPort]int

// TestEdits: as long as no reload comes between and all checks succeed, edits by hand do to a configured service what
// they would do to the kernel's table; and a definition whose edits are undone is the configuration again.
func TestEdits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		configured := virtual("rr", 1, 2, 3)
		d := Definition{ID: vip}
		var k kernel // nil while the service is not there
		if rapid.Bool().Draw(t, "configured") {
			d.Configured, k = &configured, kernel{}
			for _, r := range configured.Reals {
				k[r.Addr] = r.Weight
			}
		}
		server := func(t *rapid.T) netip.AddrPort { return addr(rapid.IntRange(1, 5).Draw(t, "server")) }
		settings := func(t *rapid.T) ServerSettings {
			return ServerSettings{Forward: config.Masq, Weight: rapid.IntRange(0, 3).Draw(t, "weight")}
		}
		expect := func(t *rapid.T, got, want error) {
			if !errors.Is(got, want) {
				t.Fatalf("got %v, want %v", got, want)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"add service": func(t *rapid.T) {
				want := error(nil)
				if k != nil {
					want = ErrServiceExists
				} else {
					k = kernel{}
				}
				expect(t, d.AddService(Settings{Scheduler: "rr"}), want)
			},
			"delete service": func(t *rapid.T) {
				want := error(nil)
				if k == nil {
					want = ErrNoService
				}
				k = nil
				expect(t, d.DeleteService(), want)
			},
			"add server": func(t *rapid.T) {
				a, s := server(t), settings(t)
				_, there := k[a]
				switch {
				case k == nil:
					expect(t, d.AddServer(a, s), ErrNoService)
				case there:
					expect(t, d.AddServer(a, s), ErrServerExists)
				default:
					expect(t, d.AddServer(a, s), nil)
					k[a] = s.Weight
				}
			},
			"edit server": func(t *rapid.T) {
				a, s := server(t), settings(t)
				_, there := k[a]
				switch {
				case k == nil:
					expect(t, d.EditServer(a, s), ErrNoService)
				case !there:
					expect(t, d.EditServer(a, s), ErrNoServer)
				default:
					expect(t, d.EditServer(a, s), nil)
					k[a] = s.Weight
				}
			},
			"delete server": func(t *rapid.T) {
				a := server(t)
				_, there := k[a]
				switch {
				case k == nil:
					expect(t, d.DeleteServer(a), ErrNoService)
				case !there:
					expect(t, d.DeleteServer(a), ErrNoServer)
				default:
					expect(t, d.DeleteServer(a), nil)
					delete(k, a)
				}
			},
			"": func(t *rapid.T) {
				if d.Present() != (k != nil) {
					t.Fatalf("present: %v", d.Present())
				}
				if k == nil {
					return
				}
				got := kernel{}
				for _, r := range d.Hand.Over(d.Base()).Reals {
					if d.Hand.mark(r.Addr) != Removed {
						got[r.Addr] = r.Weight
					}
				}
				if !maps.Equal(got, k) {
					t.Fatalf("got %v, want %v", got, k)
				}
				if d.Configured != nil && len(k) == 3 && k[addr(1)] == 1 && k[addr(2)] == 2 && k[addr(3)] == 3 && !d.Hand.IsZero() {
					t.Fatalf("all is as configured, but by hand there is %+v", d.Hand)
				}
				text, err := json.Marshal(d.Hand)
				if err != nil {
					t.Fatal(err)
				}
				var back Hand
				if err := json.Unmarshal(text, &back); err != nil {
					t.Fatal(err)
				}
				if len(d.Hand.Servers) > 0 && !reflect.DeepEqual(back, d.Hand) {
					t.Fatalf("%s became %+v", text, back)
				}
			},
		})
	})
}

// TestEstimate: a constant rate is approached as by the kernel, and zero begins anew.
func TestEstimate(t *testing.T) {
	s := mustNew(t, virtual("rr", 1))
	server := s.servers[addr(1)]
	var got []uint64
	for range 4 {
		for range 200 { // 100 a second
			server.Opening()
			server.Established()
		}
		s.Estimate()
		got = append(got, s.Snapshot().Rates.Conns)
	}
	if want := []uint64{25, 44, 58, 68}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	s.Zero()
	if now := s.Snapshot(); now.Conns != 0 || now.Rates != (Rates{}) || now.Out[0].Conns != 0 || now.Out[0].ActiveConns != 800 {
		t.Errorf("after zero: %+v", now)
	}
}
