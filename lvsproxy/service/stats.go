package service

import (
	"sync/atomic"
	"time"
)

// Traffic is what went to a server and came back from it. Packets of TCP are segments, as the kernel counts them at the
// client's side.
type Traffic struct {
	InPackets  uint64 `json:"in_packets"`
	OutPackets uint64 `json:"out_packets"`
	InBytes    uint64 `json:"in_bytes"`
	OutBytes   uint64 `json:"out_bytes"`
}

// Rates are IPVS's estimates of what happens in a second.
type Rates struct {
	Conns      uint64 `json:"cps"`
	InPackets  uint64 `json:"inpps"`
	OutPackets uint64 `json:"outpps"`
	InBytes    uint64 `json:"inbps"`
	OutBytes   uint64 `json:"outbps"`
}

// EstimateInterval is how often [Service.Estimate] must be called for the rates to be true.
const EstimateInterval = 2 * time.Second

// counters are what IPVS counts of a service and of a server. They grow only; zero remembers where they stood.
type counters struct {
	conns, inPackets, outPackets, inBytes, outBytes atomic.Uint64

	// Guarded by the service's lock.
	zeroed, estimated tally
	rates             [5]int64 // fixed point: conns and packets by 1024, bytes by 32
}

// tally is a reading of the counters.
type tally struct {
	conns uint64
	Traffic
}

func (c *counters) carried(t Traffic) {
	c.inPackets.Add(t.InPackets)
	c.outPackets.Add(t.OutPackets)
	c.inBytes.Add(t.InBytes)
	c.outBytes.Add(t.OutBytes)
}

func (c *counters) read() tally {
	return tally{c.conns.Load(), Traffic{c.inPackets.Load(), c.outPackets.Load(), c.inBytes.Load(), c.outBytes.Load()}}
}

// sinceZero returns what was counted since the last zero.
func (c *counters) sinceZero() (conns uint64, t Traffic) {
	now := c.read()
	return now.conns - c.zeroed.conns, Traffic{
		now.InPackets - c.zeroed.InPackets, now.OutPackets - c.zeroed.OutPackets,
		now.InBytes - c.zeroed.InBytes, now.OutBytes - c.zeroed.OutBytes,
	}
}

// zero begins to count anew, and to estimate.
func (c *counters) zero() {
	c.zeroed = c.read()
	c.estimated, c.rates = c.zeroed, [5]int64{}
}

// estimate is the kernel's estimation (ip_vs_est.c): every two seconds, a quarter of the way from the last estimate to
// what was measured. The shifts are the kernel's too, so that the figures round as there.
func (c *counters) estimate() {
	now := c.read()
	for i, step := range [5]uint64{
		(now.conns - c.estimated.conns) << 9,
		(now.InPackets - c.estimated.InPackets) << 9,
		(now.OutPackets - c.estimated.OutPackets) << 9,
		(now.InBytes - c.estimated.InBytes) << 4,
		(now.OutBytes - c.estimated.OutBytes) << 4,
	} {
		c.rates[i] += (int64(step) - c.rates[i]) >> 2
	}
	c.estimated = now
}

func (c *counters) perSecond() Rates {
	r := &c.rates
	return Rates{
		Conns: uint64(r[0]+0x1FF) >> 10, InPackets: uint64(r[1]+0x1FF) >> 10, OutPackets: uint64(r[2]+0x1FF) >> 10,
		InBytes: uint64(r[3]+0xF) >> 5, OutBytes: uint64(r[4]+0xF) >> 5,
	}
}

// expirePerEstimate bounds how many expired templates are taken away in one go, so that no pick waits long meanwhile.
const expirePerEstimate = 10_000

// Estimate brings the rates up to date. It is to be called every [EstimateInterval].
func (s *Service) Estimate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.templates.expire(s.now(), expirePerEstimate)
	s.stats.estimate()
	for _, server := range s.servers {
		server.stats.estimate()
	}
	if s.fallback != nil {
		s.fallback.stats.estimate()
	}
}

// Zero sets the counters and rates of the service and its servers to 0. Connections that are open go on to be counted
// as such.
func (s *Service) Zero() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.zero()
	for _, server := range s.servers {
		server.stats.zero()
	}
	if s.fallback != nil {
		s.fallback.stats.zero()
	}
}
