package client

import (
	"hash/fnv"
	"slices"
	"strings"
	"time"
)

// route is the order in which one operation tries the endpoints.
type route struct {
	ranked []*endpoint
	failed map[*endpoint]bool // in this operation
	again  map[*endpoint]bool // had its second chance in this operation
}

// route returns the route of a session. By default it is rendezvous hashing: every client ranks the endpoints alike,
// and one that goes away moves no session but its own.
func (c *Client) route(id string) *route {
	r := &route{ranked: c.endpoints, failed: map[*endpoint]bool{}, again: map[*endpoint]bool{}}
	if c.opts.InOrder || len(c.endpoints) == 1 {
		return r
	}
	type weighted struct {
		*endpoint
		weight uint64
	}
	all := make([]weighted, len(c.endpoints))
	for i, e := range c.endpoints {
		all[i] = weighted{e, weigh(e.address, id)}
	}
	slices.SortFunc(all, func(a, b weighted) int {
		switch {
		case a.weight > b.weight:
			return -1
		case a.weight < b.weight:
			return 1
		}
		return strings.Compare(a.address, b.address)
	})
	r.ranked = make([]*endpoint, len(all))
	for i := range all {
		r.ranked[i] = all[i].endpoint
	}
	return r
}

// weigh hashes an endpoint and an id. FNV alone leaves the high bits, which decide, too much alike.
func weigh(address, id string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(address))
	h.Write([]byte{0})
	h.Write([]byte(id))
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// next returns the endpoint to try, or nil if there is none: first the best-ranked of those in good health or due for a
// trial, then those that answered 503, then those that are away. The caller reports the outcome to the endpoint's
// health in any case.
func (r *route) next() *endpoint {
	now := time.Now()
	for _, least := range []condition{good, poor, away} {
		for _, e := range r.ranked {
			if !r.failed[e] && e.health.admit(now, least) {
				return e
			}
		}
	}
	return nil
}

// wait returns how long it is until an endpoint is worth trying again.
func (r *route) wait() time.Duration {
	now := time.Now()
	soonest := r.ranked[0].health.wait(now)
	for _, e := range r.ranked[1:] {
		soonest = min(soonest, e.health.wait(now))
	}
	return soonest
}
