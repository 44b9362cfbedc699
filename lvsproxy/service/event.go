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
	ServerAdded    EventKind = "server added"
	ServerChanged  EventKind = "server changed"
	ServerRemoved  EventKind = "server removed"
	ServerUp       EventKind = "server up"
	ServerDown     EventKind = "server down"
	FallbackOn     EventKind = "fallback on"
	FallbackOff    EventKind = "fallback off"
)

// Event is a change of the table.
type Event struct {
	Time    time.Time
	Kind    EventKind
	Virtual config.VirtualID
	// Server is the real or fallback server; the zero value for events about the whole service.
	Server netip.AddrPort
	// Reason says why, for people.
	Reason string
}

func newEvent(kind EventKind, virtual config.VirtualID, server netip.AddrPort, reason string) Event {
	return Event{Time: time.Now(), Kind: kind, Virtual: virtual, Server: server, Reason: reason}
}
