package service

import (
	"net/netip"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/config"
)

// EventKind says what happened.
type EventKind string

// What can happen to the table.
const (
	ServiceAdded   EventKind = "service added"
	ServiceRemoved EventKind = "service removed"
	ServiceMoved   EventKind = "service moved" // to another dataplane
	ServerAdded    EventKind = "server added"
	ServerChanged  EventKind = "server changed"
	ServerRemoved  EventKind = "server removed"
	ServerUp       EventKind = "server up"
	ServerDown     EventKind = "server down"
	FallbackOn     EventKind = "fallback on"
	FallbackOff    EventKind = "fallback off"
	ServerDrained  EventKind = "server drained"
)

// Event is a change of the table.
type Event struct {
	Time    time.Time
	Kind    EventKind
	Virtual config.VirtualID
	// Server is the real or fallback server; the zero value for events about the whole service.
	Server netip.AddrPort
	// OldWeight and Weight are the server's weights in the table before and after; 0 also means that it was not, or is
	// no longer, in the table.
	OldWeight, Weight int
	// Reason says why, for people.
	Reason string
}

// event is about one server, whose weight in the table was another before.
func (s *Service) event(kind EventKind, server *Server, oldWeight int, reason string) Event {
	return Event{
		Time: time.Now(), Kind: kind, Virtual: s.id, Server: server.addr,
		OldWeight: oldWeight, Weight: server.weight, Reason: reason,
	}
}
