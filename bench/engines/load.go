package main

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// workload is what the clients do.
type workload struct {
	sessions int
	payload  int // bytes
	clients  int
}

// key returns the key of session number i: a hash, as a session store's keys are.
func key(i int) []byte {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(i))
	k := sha256.Sum256(b[:])
	return k[:]
}

// outcome is what a load achieved. Latencies are in microseconds.
type outcome struct {
	seconds       float64
	reads, writes *hdrhistogram.Histogram
}

func newOutcome() outcome {
	return outcome{reads: hdrhistogram.New(1, 60_000_000, 3), writes: hdrhistogram.New(1, 60_000_000, 3)}
}

// preload fills the engine in commits of 500.
func (w workload) preload(e engine) error {
	rnd := rand.NewChaCha8([32]byte{1})
	var changes []change
	for i := range w.sessions {
		value := make([]byte, w.payload)
		rnd.Read(value)
		changes = append(changes, change{key(i), value})
		if len(changes) == 500 || i == w.sessions-1 {
			if err := e.commit(changes); err != nil {
				return fmt.Errorf("preload: %w", err)
			}
			changes = changes[:0]
		}
	}
	return nil
}

// run drives the engine with all clients for the given time. Sessions below from are left alone.
func (w workload) run(e engine, c *committer, d time.Duration, from int, seed uint64) (outcome, error) {
	parts := make([]outcome, w.clients)
	errs := make([]error, w.clients)
	start := time.Now()
	var wg sync.WaitGroup
	for i := range w.clients {
		wg.Go(func() {
			parts[i], errs[i] = w.client(e, c, start.Add(d), from, seed<<16+uint64(i))
		})
	}
	wg.Wait()
	total := newOutcome()
	total.seconds = time.Since(start).Seconds()
	for i, p := range parts {
		if errs[i] != nil {
			return total, errs[i]
		}
		total.reads.Merge(p.reads)
		total.writes.Merge(p.writes)
	}
	return total, nil
}

func (w workload) client(e engine, c *committer, until time.Time, from int, seed uint64) (outcome, error) {
	o := newOutcome()
	rnd := rand.New(rand.NewPCG(seed, 7))
	value := make([]byte, w.payload)
	result := make(chan error, 1)
	var buf []byte
	for {
		begin := time.Now()
		if begin.After(until) {
			return o, nil
		}
		k := key(from + rnd.IntN(w.sessions-from))
		var err error
		var h *hdrhistogram.Histogram
		if rnd.Uint64()&1 == 0 {
			buf, err = e.get(buf[:0], k)
			if err == nil && len(buf) != w.payload {
				err = fmt.Errorf("read %d bytes, wrote %d", len(buf), w.payload)
			}
			h = o.reads
		} else {
			for i := 0; i+8 <= len(value); i += 8 {
				binary.LittleEndian.PutUint64(value[i:], rnd.Uint64())
			}
			begin = time.Now()
			err = c.write([]change{{k, value}}, result)
			h = o.writes
		}
		if err != nil {
			return o, err
		}
		h.RecordValue(max(1, time.Since(begin).Microseconds()))
	}
}

// collect deletes the sessions in [from, to) in commits of 250, as a garbage collector does, until it is through or told
// to stop. It returns how far it came.
func collect(c *committer, from, to int, stop <-chan struct{}) (int, error) {
	result := make(chan error, 1)
	for from < to {
		select {
		case <-stop:
			return from, nil
		default:
		}
		var changes []change
		for ; from < to && len(changes) < 250; from++ {
			changes = append(changes, change{key: key(from)})
		}
		if err := c.write(changes, result); err != nil {
			return from, err
		}
	}
	return from, nil
}
