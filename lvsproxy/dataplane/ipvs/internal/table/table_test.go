package table

import (
	"cmp"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"pgregory.net/rapid"
)

// kernel is a table that obeys steps as IPVS does and fails where IPVS does: EEXIST, ENOENT.
type kernel struct {
	t       *rapid.T
	entries []Entry
}

func (k *kernel) index(s Service) int {
	return slices.IndexFunc(k.entries, func(e Entry) bool { return e.Service.ID == s.ID })
}

func (k *kernel) do(s Step) {
	i := k.index(s.Service)
	if (i < 0) != (s.Op == AddService) {
		k.t.Fatalf("step %v: the service is at %d", s, i)
	}
	switch s.Op {
	case AddService:
		k.entries = append(k.entries, Entry{Service: s.Service})
	case EditService:
		k.entries[i].Service = s.Service
	case RemoveService:
		k.entries = slices.Delete(k.entries, i, i+1)
	default:
		k.doServer(&k.entries[i], s)
	}
}

func (k *kernel) doServer(e *Entry, s Step) {
	i := slices.IndexFunc(e.Servers, func(server Server) bool { return server.Addr == s.Server.Addr })
	if (i < 0) != (s.Op == AddServer) {
		k.t.Fatalf("step %v: the server is at %d", s, i)
	}
	switch s.Op {
	case AddServer:
		e.Servers = slices.Insert(e.Servers, 0, s.Server)
	case EditServer:
		e.Servers[i] = s.Server
	case RemoveServer:
		e.Servers = slices.Delete(e.Servers, i, i+1)
	}
}

// entries draws a table of few services and servers, so that two tables have many in common.
func entries(t *rapid.T, label string) []Entry {
	server := rapid.Custom(func(t *rapid.T) Server {
		return Server{
			Addr:    netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, rapid.ByteRange(1, 5).Draw(t, "server")}), 80),
			Forward: rapid.SampledFrom([]config.Forward{"masq", "gate"}).Draw(t, "forward"),
			Weight:  rapid.IntRange(0, 2).Draw(t, "weight"),
		}
	})
	entry := rapid.Custom(func(t *rapid.T) Entry {
		return Entry{
			Service: Service{
				ID:        config.VirtualID{Protocol: config.FWM, FWMark: rapid.Uint32Range(1, 4).Draw(t, "mark")},
				Scheduler: rapid.SampledFrom([]string{"rr", "wlc"}).Draw(t, "scheduler"),
			},
			Servers: rapid.SliceOfNDistinct(server, 0, 5, func(s Server) netip.AddrPort { return s.Addr }).Draw(t, "servers"),
		}
	})
	return rapid.SliceOfNDistinct(entry, 0, 4, func(e Entry) config.VirtualID { return e.Service.ID }).Draw(t, label)
}

// set returns entries without what their order says.
func set(entries []Entry) map[Service]map[Server]bool {
	all := map[Service]map[Server]bool{}
	for _, e := range entries {
		all[e.Service] = map[Server]bool{}
		for _, s := range e.Servers {
			all[e.Service][s] = true
		}
	}
	return all
}

func clone(entries []Entry) []Entry {
	copied := slices.Clone(entries)
	for i := range copied {
		copied[i].Servers = slices.Clone(copied[i].Servers)
	}
	return copied
}

func TestDiffLeadsToWhatIsWanted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		have, want := entries(t, "have"), entries(t, "want")
		ourMark := rapid.Uint32Range(0, 4).Draw(t, "ours up to")
		ours := func(id config.VirtualID) bool { return id.FWMark <= ourMark }
		steps := Diff(have, want, ours)
		k := kernel{t, clone(have)}
		for _, s := range steps {
			k.do(s)
		}
		target := clone(want)
		for _, h := range have {
			if !ours(h.Service.ID) && !slices.ContainsFunc(want, func(e Entry) bool { return e.Service.ID == h.Service.ID }) {
				target = append(target, h)
			}
		}
		if got := set(k.entries); !reflect.DeepEqual(got, set(target)) {
			t.Fatalf("steps %v led to %v, not to %v", steps, got, target)
		}
		if again := Diff(k.entries, want, ours); len(again) != 0 {
			t.Fatalf("there is more to do: %v", again)
		}
		if !slices.IsSortedFunc(steps, func(a, b Step) int { return cmp.Compare(removes(a), removes(b)) }) {
			t.Fatalf("something is removed before something is added: %v", steps)
		}
	})
}

func removes(s Step) int {
	if s.Op == RemoveService || s.Op == RemoveServer {
		return 1
	}
	return 0
}

func TestDiffKeepsTheOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := entries(t, "want")
		k := kernel{t: t}
		for _, s := range Diff(nil, want, nil) {
			k.do(s)
		}
		for i, e := range k.entries {
			if !slices.Equal(e.Servers, want[i].Servers) {
				t.Fatalf("the servers are %v instead of %v", e.Servers, want[i].Servers)
			}
		}
	})
}

func TestDiffEditsWeights(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		have := entries(t, "have")
		want, changed := clone(have), 0
		for _, e := range want {
			for i := range e.Servers {
				if rapid.Bool().Draw(t, "change") {
					e.Servers[i].Weight += 10
					changed++
				}
			}
		}
		steps := Diff(have, want, func(config.VirtualID) bool { return true })
		if len(steps) != changed || slices.ContainsFunc(steps, func(s Step) bool { return s.Op != EditServer }) {
			t.Fatalf("%d weights changed, the steps are %v", changed, steps)
		}
	})
}
