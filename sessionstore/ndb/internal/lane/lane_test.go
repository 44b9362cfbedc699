package lane

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/lvsession/lvsession/sessionstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// call is an operation of the tests: number n on a key.
type call struct {
	key byte
	n   int
}

func (c call) on() sessionstore.Key { return sessionstore.Key{31: c.key} }

// recorder is an executor that takes its time, and writes down what it was given.
type recorder struct {
	takes time.Duration

	mu      sync.Mutex
	batches [][]call
}

var errPoison = errors.New("poisoned")

// execute answers with the number of each call, and with an error for negative ones.
func (r *recorder) execute(batch []call) []Outcome[int] {
	r.mu.Lock()
	r.batches = append(r.batches, slices.Clone(batch))
	r.mu.Unlock()
	time.Sleep(r.takes)
	outcomes := make([]Outcome[int], len(batch))
	for i, c := range batch {
		outcomes[i].Value = c.n
		if c.n < 0 {
			outcomes[i].Err = errPoison
		}
	}
	return outcomes
}

// bench is one lane with its recorder, in a bubble of synctest.
type bench struct {
	*testing.T
	*recorder
	*Lanes[call, int]
	callers sync.WaitGroup
}

func inBubble(t *testing.T, o Options, test func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{takes: time.Second}
		b := &bench{T: t, recorder: r, Lanes: New(o, r.execute)}
		test(b)
		b.callers.Wait()
		b.Wait()
	})
}

// start calls Do and returns once the operation waits or is in flight. The outcome must be the call's own.
func (b *bench) start(ctx context.Context, c call, want error) {
	b.callers.Go(func() {
		got, err := b.Do(ctx, c.on(), 1, c)
		if !errors.Is(err, want) || (want == nil && (err != nil || got != c.n)) {
			b.Errorf("call %v: got %d, %v; want error %v", c, got, err, want)
		}
	})
	synctest.Wait()
}

func (b *bench) want(batches ...[]call) {
	b.Helper()
	b.callers.Wait()
	if !slices.EqualFunc(b.batches, batches, slices.Equal) {
		b.Errorf("batches are %v, want %v", b.batches, batches)
	}
}

var oneLane = Options{Lanes: 1, MaxBatch: 3, MaxBytes: 100}

func TestWhatWaitsGoesOutTogether(t *testing.T) {
	inBubble(t, oneLane, func(b *bench) {
		for i := range 6 {
			b.start(b.Context(), call{byte(i), i}, nil)
		}
		b.want([]call{{0, 0}}, []call{{1, 1}, {2, 2}, {3, 3}}, []call{{4, 4}, {5, 5}})
	})
}

func TestIdleAddsNoLatency(t *testing.T) {
	inBubble(t, oneLane, func(b *bench) {
		for i := range 3 {
			began := time.Now()
			b.start(b.Context(), call{1, i}, nil)
			b.callers.Wait()
			if took := time.Since(began); took != time.Second {
				b.Errorf("an operation of one second took %v", took)
			}
		}
		b.want([]call{{1, 0}}, []call{{1, 1}}, []call{{1, 2}})
	})
}

func TestKeyStandsInABatchOnce(t *testing.T) {
	calls := []call{{9, 0}, {1, 1}, {1, 2}, {2, 3}, {1, 4}, {2, 5}}
	inBubble(t, oneLane, func(b *bench) {
		for _, c := range calls {
			b.start(b.Context(), c, nil)
		}
		b.want([]call{{9, 0}}, []call{{1, 1}, {2, 3}}, []call{{1, 2}, {2, 5}}, []call{{1, 4}})
	})
	repeat := oneLane
	repeat.Repeat = true
	inBubble(t, repeat, func(b *bench) {
		for _, c := range calls {
			b.start(b.Context(), c, nil)
		}
		b.want([]call{{9, 0}}, []call{{1, 1}, {1, 2}, {2, 3}}, []call{{1, 4}, {2, 5}})
	})
}

func TestBatchIsBoundedInBytes(t *testing.T) {
	inBubble(t, Options{Lanes: 1, MaxBatch: 9, MaxBytes: 2}, func(b *bench) {
		for i := range 5 {
			b.start(b.Context(), call{byte(i), i}, nil)
		}
		b.want([]call{{0, 0}}, []call{{1, 1}, {2, 2}}, []call{{3, 3}, {4, 4}})
		if _, err := b.Do(b.Context(), sessionstore.Key{}, 1000, call{0, 7}); err != nil {
			b.Error(err)
		}
	})
}

func TestCancelledCallersLeave(t *testing.T) {
	inBubble(t, oneLane, func(b *bench) {
		short, cancel := context.WithCancel(b.Context())
		b.start(short, call{1, 1}, context.Canceled) // in flight
		b.start(b.Context(), call{2, 2}, nil)
		b.start(short, call{3, 3}, context.Canceled) // waits
		b.start(b.Context(), call{4, 4}, nil)
		began := time.Now()
		cancel()
		synctest.Wait()
		if time.Since(began) != 0 {
			b.Error("cancelled callers waited")
		}
		b.start(short, call{5, 5}, context.Canceled) // came too late
		b.want([]call{{1, 1}}, []call{{2, 2}, {4, 4}})
	})
}

func TestPoisonFailsNoNeighbour(t *testing.T) {
	inBubble(t, oneLane, func(b *bench) {
		b.start(b.Context(), call{0, 0}, nil)
		b.start(b.Context(), call{1, 1}, nil)
		b.start(b.Context(), call{2, -2}, errPoison)
		b.start(b.Context(), call{3, 3}, nil)
		b.want([]call{{0, 0}}, []call{{1, 1}, {2, -2}, {3, 3}})
	})
}

// Whatever comes when: each call runs once and in the order of its key, no batch breaks its bounds, and no key is in two
// batches at once.
func TestLanesProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := Options{
			Lanes:    rapid.IntRange(1, 4).Draw(t, "lanes"),
			MaxBatch: rapid.IntRange(1, 5).Draw(t, "batch"),
			MaxBytes: rapid.IntRange(1, 5).Draw(t, "bytes"),
		}
		keys := rapid.SliceOfN(rapid.ByteRange(0, 9), 1, 60).Draw(t, "keys")
		var inFlight [10]atomic.Int32
		var mu sync.Mutex
		ran := map[byte][]int{}
		lanes := New(o, func(batch []call) []Outcome[int] {
			if len(batch) > o.MaxBatch || len(batch) > o.MaxBytes {
				t.Errorf("a batch of %d", len(batch))
			}
			outcomes := make([]Outcome[int], len(batch))
			for i, c := range batch {
				if inFlight[c.key].Add(1) != 1 {
					t.Errorf("key %d is in two batches", c.key)
				}
				outcomes[i].Value = c.n
				mu.Lock()
				ran[c.key] = append(ran[c.key], c.n)
				mu.Unlock()
			}
			for _, c := range batch {
				inFlight[c.key].Add(-1)
			}
			return outcomes
		})
		// One goroutine for each key calls in order; so its calls must run in order.
		var callers sync.WaitGroup
		for key := range byte(10) {
			callers.Go(func() {
				for n, k := range keys {
					if k != key {
						continue
					}
					c := call{key, n}
					if got, err := lanes.Do(context.Background(), sessionstore.Key{7: key}, 1, c); got != n || err != nil {
						t.Errorf("call %v: %d, %v", c, got, err)
					}
				}
			})
		}
		callers.Wait()
		lanes.Wait()
		total := 0
		for key, list := range ran {
			if !slices.IsSorted(list) {
				t.Errorf("key %d ran in the order %v", key, list)
			}
			total += len(list)
		}
		if total != len(keys) {
			t.Errorf("%d of %d calls ran", total, len(keys))
		}
	})
}

// BenchmarkDo is what gathering costs an operation, among 256 callers and over 4 lanes.
func BenchmarkDo(b *testing.B) {
	type answer [24]uint64 // about a session's size
	l := New(Options{Lanes: 4, MaxBatch: 64, MaxBytes: 1 << 20, Repeat: true}, func(batch []int) []Outcome[answer] {
		return make([]Outcome[answer], len(batch))
	})
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	b.ReportAllocs()
	b.SetParallelism(256 / runtime.GOMAXPROCS(0))
	b.RunParallel(func(pb *testing.PB) {
		for n := 0; pb.Next(); n++ {
			if _, err := l.Do(ctx, sessionstore.Key{7: byte(n)}, 1, n); err != nil {
				b.Error(err)
			}
		}
	})
	l.Wait()
}
