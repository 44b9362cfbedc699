package main

import (
	"net"
	"net/netip"
	"testing"
)

// TestSegment: who checks the sums of a segment finds them right, and a stray frame is as long.
func TestSegment(t *testing.T) {
	w := way{from: net.HardwareAddr{2, 0, 0, 0, 0, 1}, to: net.HardwareAddr{2, 0, 0, 0, 0, 2}}
	for _, f := range families {
		frame := w.segment(netip.AddrPortFrom(f.client, 1234), netip.AddrPortFrom(f.vip, 80), syn|ack)
		ip, tcp := frame[14:], frame[len(frame)-20:]
		if f.vip.Is4() && fold(sum(ip[:20])) != 0xffff {
			t.Errorf("%s: the header's checksum is wrong: %x", f.name, ip[:20])
		}
		size := len(f.vip.AsSlice())
		addresses := ip[len(ip)-20-2*size : len(ip)-20]
		if fold(sum(addresses)+sum(tcp)+6+20) != 0xffff {
			t.Errorf("%s: TCP's checksum is wrong: %x", f.name, tcp)
		}
		if got := len(w.stray(len(frame))); got != len(frame) {
			t.Errorf("%s: a stray frame of %d bytes, want %d", f.name, got, len(frame))
		}
	}
}

// TestUnhop: what a router has changed is no difference, and all else is.
func TestUnhop(t *testing.T) {
	w := way{from: net.HardwareAddr{2, 0, 0, 0, 0, 1}, to: net.HardwareAddr{2, 0, 0, 0, 0, 2}}
	for _, f := range families {
		at := func(change func([]byte)) string {
			frame := w.segment(netip.AddrPortFrom(f.client, 1234), netip.AddrPortFrom(f.vip, 80), ack)
			change(frame)
			return string(unhop(frame))
		}
		same := at(func([]byte) {})
		ttl := map[bool]int{true: 14 + 8, false: 14 + 7}[f.vip.Is4()]
		if at(func(b []byte) { b[ttl]-- }) != same {
			t.Errorf("%s: a hop is a difference", f.name)
		}
		if at(func(b []byte) { b[len(b)-20]++ }) == same {
			t.Errorf("%s: another port is none", f.name)
		}
	}
}
