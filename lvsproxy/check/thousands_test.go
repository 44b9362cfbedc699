package check

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/config"
)

// farm is many servers behind one socket: it takes connections to any address of the loopback.
type farm struct {
	port       uint16
	open, peak atomic.Int64  // requests at once
	work       time.Duration // what a request takes
	server     http.Server
}

func startFarm(t testing.TB, work time.Duration) *farm {
	t.Helper()
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &farm{work: work, port: uint16(l.Addr().(*net.TCPAddr).Port)}
	f.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		f.peak.Store(max(f.peak.Load(), f.open.Add(1)))
		time.Sleep(f.work)
		w.Write([]byte("OK")) // sent once this function has returned
		f.open.Add(-1)
	})
	done := make(chan struct{})
	go func() { f.server.Serve(l); close(done) }()
	t.Cleanup(func() { f.server.Close(); <-done })
	return f
}

// real is server number i.
func (f *farm) real(i int) config.Real {
	return config.Real{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)}), f.port), Request: "/", Receive: "OK"}
}

// checkers runs n checkers, half of them of http and half of connections, and returns what counts their results, and ends
// them.
func (f *farm) checkers(t testing.TB, n, limit int, interval time.Duration) (results *[]atomic.Int64, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	l := NewLimit(limit)
	counts := make([]atomic.Int64, n)
	for i := range n {
		v := virtual(config.Check{Type: config.CheckNegotiate, Service: "http"})
		if i%2 == 1 {
			v.Check.Type = config.CheckConnect
		}
		v.Check.Interval = interval
		c, err := New(ForReal(v, f.real(i), 1), Unknown, l, func(r Result) {
			if r.OK {
				counts[i].Add(1)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { c.Run(ctx) })
	}
	return &counts, func() { cancel(); wg.Wait() }
}

// TestThousands: 5,000 checks take turns within their limit, on few threads and in little memory.
func TestThousands(t *testing.T) {
	const checkers, limit = 5000, 64
	f := startFarm(t, 10*time.Millisecond)
	threads := pprof.Lookup("threadcreate").Count()
	before := memoryInUse()
	results, stop := f.checkers(t, checkers, limit, 2*time.Second)
	defer stop()
	for deadline, i := time.Now().Add(2*time.Minute), 0; i < checkers; {
		switch {
		case (*results)[i].Load() >= 2:
			i++
		case time.Now().After(deadline):
			t.Fatalf("check %d has had %d good results", i, (*results)[i].Load())
		default:
			time.Sleep(time.Millisecond)
		}
	}
	perCheck := (memoryInUse() - before) / checkers
	t.Logf("%d bytes a check, %d requests at once at most, %d threads more", perCheck, f.peak.Load(), pprof.Lookup("threadcreate").Count()-threads)
	if peak := f.peak.Load(); peak > limit {
		t.Errorf("%d requests at once, with a limit of %d checks", peak, limit)
	}
	if perCheck > 32<<10 {
		t.Errorf("%d bytes a check", perCheck)
	}
	if more := pprof.Lookup("threadcreate").Count() - threads; more > 100 {
		t.Errorf("%d threads more", more)
	}
}

// memoryInUse is the heap that is reachable, and all stacks, in bytes.
func memoryInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// BenchmarkCheck is what one check costs, the server's side included: of http, and of a connection.
func BenchmarkCheck(b *testing.B) {
	for _, kind := range []config.CheckType{config.CheckNegotiate, config.CheckConnect} {
		b.Run(string(kind), func(b *testing.B) {
			f := startFarm(b, 0)
			v := virtual(config.Check{Type: kind, Service: "http"})
			c, err := New(ForReal(v, f.real(1), 1), Unknown, NewLimit(1), func(Result) {})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.probe(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
