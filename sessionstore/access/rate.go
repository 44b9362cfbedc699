package access

import (
	"net/netip"
	"sync"
	"time"
)

// Rate limits how fast each client address creates sessions: so many a second on the long run, and ten seconds' worth at
// once. The addresses of one IPv6 /64 are one. The zero value and nil limit nothing.
//
// A caller charges a creation after the fact, which costs an ordinary write nothing, and asks before a write that may be
// one whether the address has run into debt.
type Rate struct {
	// PerSecond is how many creations a second one address has; 0 means any number.
	PerSecond float64
	// Now is the clock; nil means [time.Now].
	Now func() time.Time

	mu      sync.Mutex
	buckets map[netip.Addr]bucket
}

// maxAddresses bounds the addresses that are remembered. When there are more, those are forgotten that could create at
// full speed again, and if that is not enough, all.
const maxAddresses = 1 << 16

const burst = 10 // seconds' worth

type bucket struct {
	tokens float64
	at     time.Time
}

// Exhausted reports whether the address must wait before it creates another session, and how long.
func (r *Rate) Exhausted(a netip.Addr) (wait time.Duration, exhausted bool) {
	if r.unlimited(a) {
		return 0, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.bucket(key(a), r.now())
	if b.tokens >= 1 {
		return 0, false
	}
	return time.Duration((1 - b.tokens) / r.PerSecond * float64(time.Second)), true
}

// Charge notes that the address has created a session.
func (r *Rate) Charge(a netip.Addr) {
	if r.unlimited(a) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if r.buckets == nil {
		r.buckets = map[netip.Addr]bucket{}
	}
	if len(r.buckets) >= maxAddresses {
		r.forget(now)
	}
	b := r.bucket(key(a), now)
	b.tokens--
	r.buckets[key(a)] = b
}

func (r *Rate) unlimited(a netip.Addr) bool { return r == nil || r.PerSecond <= 0 || !a.IsValid() }

func (r *Rate) full() float64 { return max(1, r.PerSecond*burst) }

func (r *Rate) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

// bucket returns what the address has now.
func (r *Rate) bucket(a netip.Addr, now time.Time) bucket {
	b, ok := r.buckets[a]
	if !ok {
		return bucket{r.full(), now}
	}
	return bucket{min(r.full(), b.tokens+max(0, now.Sub(b.at).Seconds())*r.PerSecond), now}
}

func (r *Rate) forget(now time.Time) {
	for a := range r.buckets {
		if r.bucket(a, now).tokens >= r.full() {
			delete(r.buckets, a)
		}
	}
	if len(r.buckets) >= maxAddresses {
		clear(r.buckets)
	}
}

func key(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}
