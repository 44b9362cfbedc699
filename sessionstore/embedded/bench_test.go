package embedded

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lvsession/lvsession/sessionstore"
)

const (
	benchSessions = 10_000
	benchPayload  = 2048
)

// BenchmarkStore measures the store on the workload that its engine was chosen by (bench/engines): 10,000 sessions of
// 2 KB, each acknowledged change synced to disk. Mixed is half reads and half writes; Visit is what PHP mostly does,
// namely a read and a touch. Engine is the mixed work on the bare engine with the same options and the same group
// commit, which is what the store's figures are to be compared with.
func BenchmarkStore(b *testing.B) {
	ctx := context.Background()
	anyVersion := func(payload []byte) sessionstore.Write {
		return sessionstore.Write{Payload: payload, Idle: time.Hour, IfVersion: sessionstore.AnyVersion}
	}
	read := func(s *Store, k sessionstore.Key, _ []byte, _ *rand.Rand) error {
		_, err := s.Read(ctx, k)
		return err
	}
	write := func(s *Store, k sessionstore.Key, payload []byte, _ *rand.Rand) error {
		_, err := s.Write(ctx, k, anyVersion(payload))
		return err
	}
	for _, work := range []struct {
		name string
		do   func(s *Store, k sessionstore.Key, payload []byte, rnd *rand.Rand) error
	}{
		{"Read", read},
		{"Write", write},
		{"Mixed", func(s *Store, k sessionstore.Key, payload []byte, rnd *rand.Rand) error {
			if rnd.Uint64()&1 == 0 {
				return read(s, k, payload, rnd)
			}
			return write(s, k, payload, rnd)
		}},
		{"Visit", func(s *Store, k sessionstore.Key, payload []byte, rnd *rand.Rand) error {
			if err := read(s, k, payload, rnd); err != nil {
				return err
			}
			return s.Touch(ctx, k, sessionstore.Touch{Idle: time.Hour})
		}},
		{"Locked", func(s *Store, k sessionstore.Key, payload []byte, rnd *rand.Rand) error {
			k[0] ^= byte(rnd.Uint32()) // no waiting for one another
			l, err := s.Lock(ctx, k, sessionstore.Lock{TTL: time.Minute})
			if err != nil {
				return nil
			}
			return s.Unlock(ctx, k, l.Token)
		}},
	} {
		for _, clients := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/clients=%d", work.name, clients), func(b *testing.B) {
				s, keys := benchStore(b)
				drive(b, clients, func(rnd *rand.Rand, payload []byte) error {
					return work.do(s, keys[rnd.IntN(len(keys))], payload, rnd)
				})
			})
		}
	}
}

func openBench(b *testing.B) *Store {
	b.Helper()
	s, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

// BenchmarkEngine is BenchmarkStore's mixed work without a store around the engine: no versions, no times, no index.
func BenchmarkEngine(b *testing.B) {
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprintf("Mixed/clients=%d", clients), func(b *testing.B) {
			db := benchEngine(b)
			commits := make(chan bareWrite, groupOperations)
			done := make(chan struct{})
			go func() {
				defer close(done)
				bareCommit(db, commits)
			}()
			drive(b, clients, func(rnd *rand.Rand, payload []byte) error {
				k := makeKey(payloadPrefix, testKey(rnd.IntN(benchSessions)))
				if rnd.Uint64()&1 == 0 {
					value, closer, err := db.Get(k[:])
					if err != nil {
						return err
					}
					_ = append([]byte(nil), value...)
					return closer.Close()
				}
				w := bareWrite{k, payload, make(chan error, 1)}
				commits <- w
				return <-w.done
			})
			close(commits)
			<-done
		})
	}
}

// benchEngine opens the engine with the store's options, but for the log, which the store has of its own, and fills it.
func benchEngine(b *testing.B) *pebble.DB {
	b.Helper()
	dir := b.TempDir()
	o := (&Store{disk: newDisk(vfs.Default, dir, 0)}).engineOptions(Options{}.withDefaults())
	o.DisableWAL = false
	db, err := pebble.Open(dir, o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	payload := randomPayload(rand.NewChaCha8([32]byte{1}))
	for i := range benchSessions {
		k := makeKey(payloadPrefix, testKey(i))
		if err := db.Set(k[:], payload, pebble.NoSync); err != nil {
			b.Fatal(err)
		}
	}
	return db
}

type bareWrite struct {
	key   engineKey
	value []byte
	done  chan error
}

// bareCommit puts what waits on disk, group by group.
func bareCommit(db *pebble.DB, waiting <-chan bareWrite) {
	for w := range waiting {
		group := []bareWrite{w}
		for len(group) < groupOperations && len(waiting) > 0 {
			group = append(group, <-waiting)
		}
		batch := db.NewBatch()
		for _, w := range group {
			batch.Set(w.key[:], w.value, nil)
		}
		err := batch.Commit(pebble.Sync)
		for _, w := range group {
			w.done <- err
		}
	}
}

// benchStore opens a store with sessions in it.
func benchStore(b *testing.B) (*Store, []sessionstore.Key) {
	b.Helper()
	s := openBench(b)
	keys := make([]sessionstore.Key, benchSessions)
	for i := range keys {
		keys[i] = testKey(i)
	}
	var next atomic.Int64
	fill := make(chan error)
	for i := range 64 {
		go func() {
			fill <- func() error {
				payload := randomPayload(rand.NewChaCha8([32]byte{byte(i)}))
				for {
					n := int(next.Add(1)) - 1
					if n >= len(keys) {
						return nil
					}
					if _, err := s.Write(b.Context(), keys[n], sessionstore.Write{Payload: payload, Idle: time.Hour}); err != nil {
						return err
					}
				}
			}()
		}()
	}
	for range 64 {
		if err := <-fill; err != nil {
			b.Fatal(err)
		}
	}
	return s, keys
}

func randomPayload(source *rand.ChaCha8) []byte {
	payload := make([]byte, benchPayload)
	source.Read(payload)
	return payload
}

// drive shares b.N operations among clients.
func drive(b *testing.B, clients int, do func(rnd *rand.Rand, payload []byte) error) {
	b.Helper()
	b.ReportAllocs()
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan error, clients)
	for i := range clients {
		go func() {
			source := rand.NewChaCha8([32]byte{1, byte(i)})
			rnd := rand.New(source)
			payload := randomPayload(source)
			var err error
			for err == nil && left.Add(-1) >= 0 {
				err = do(rnd, payload)
			}
			done <- err
		}()
	}
	for range clients {
		if err := <-done; err != nil {
			b.Error(err)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}
