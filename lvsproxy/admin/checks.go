package admin

import (
	"net/netip"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/check"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// CheckStatus is what the checks of a server have found.
type CheckStatus struct {
	// Time is when the last check ended, OK whether it succeeded, Seconds how long it took and Reason how it ended.
	Time    time.Time `json:"time"`
	OK      bool      `json:"ok"`
	Seconds float64   `json:"seconds"`
	Reason  string    `json:"reason,omitempty"`
	// Succeeded and Failed count checks.
	Succeeded uint64 `json:"succeeded"`
	Failed    uint64 `json:"failed"`
	// Streak is how many results in a row contradict the server's state, while they are too few to change it.
	Streak int `json:"streak,omitempty"`
}

// serverKey is a server of a service.
type serverKey struct {
	virtual config.VirtualID
	server  netip.AddrPort
}

// serverRecord is what is remembered of one.
type serverRecord struct {
	since time.Time // of its state; zero if that never changed
	check *CheckStatus
}

// server returns the record of a server, which is made if there is none. Called with the lock held.
func (rec *Record) server(key serverKey) *serverRecord {
	s := rec.servers[key]
	if s == nil {
		s = &serverRecord{}
		rec.servers[key] = s
	}
	return s
}

// Check takes a result of the director's checks: it is a [lvsproxy.Options].OnCheck.
func (rec *Record) Check(virtual config.VirtualID, server netip.AddrPort, r check.Result) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	s := rec.server(serverKey{virtual, server})
	if s.check == nil {
		s.check = &CheckStatus{}
	}
	c := s.check
	c.Time, c.OK, c.Seconds, c.Reason, c.Streak = time.Now(), r.OK, r.Took.Seconds(), r.Reason, r.Streak
	if r.OK {
		c.Succeeded++
	} else {
		c.Failed++
	}
}

// known returns what is remembered of the servers of a table, and forgets all others.
func (rec *Record) known(table []service.Snapshot) map[serverKey]serverRecord {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	known := make(map[serverKey]serverRecord, len(rec.servers))
	add := func(key serverKey) {
		if s := rec.servers[key]; s != nil {
			one := *s
			if s.check != nil {
				copied := *s.check
				one.check = &copied
			}
			known[key] = one
		}
	}
	for _, v := range table {
		for _, r := range v.Servers {
			add(serverKey{v.ID, r.Addr})
		}
		for _, r := range v.Out {
			add(serverKey{v.ID, r.Addr})
		}
	}
	for key := range rec.servers {
		if _, ok := known[key]; !ok {
			delete(rec.servers, key)
		}
	}
	return known
}
