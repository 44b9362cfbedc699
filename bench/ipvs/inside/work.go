package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lvsession/lvsession/bench/rig/namespaces"
)

// work is a kind of packets that come to the director, or of connections.
type work struct {
	name       string
	port       uint16
	server     bool // it is what the server sends
	connection bool // they are the first three segments of a connection each: two by gate, which does not see the answer
}

var works = []work{
	{name: "masq, a segment of the client", port: masq},
	{name: "masq, a segment of the server", port: masq, server: true},
	{name: "gate, a segment of the client", port: gate},
	{name: "masq, a new connection: SYN, SYN ACK, ACK", port: masq, connection: true},
	{name: "gate, a new connection: SYN, ACK", port: gate, connection: true},
}

// established is how many connections the segments are of, one after the other.
const established = 64

// frame is one that is sent from one of the ends.
type frame struct {
	fd    int
	bytes []byte
}

// fromClient is a segment that the client sends.
func (s *side) fromClient(f family, w work, port uint16, flags byte) frame {
	to := netip.AddrPortFrom(f.vip, w.port)
	if s.dataplane == "" {
		to = netip.AddrPortFrom(f.real, served)
	}
	return frame{s.client.fd, s.client.segment(netip.AddrPortFrom(f.client, port), to, flags)}
}

// fromServer is a segment that the server sends to the client through the director.
func (s *side) fromServer(f family, port uint16, flags byte) frame {
	return frame{s.server.fd, s.server.segment(netip.AddrPortFrom(f.real, served), netip.AddrPortFrom(f.client, port), flags)}
}

// opening is a new connection.
func (s *side) opening(f family, w work) []frame {
	s.port++
	frames := []frame{s.fromClient(f, w, s.port, syn)}
	if w.port == masq {
		frames = append(frames, s.fromServer(f, s.port, syn|ack))
	}
	return append(frames, s.fromClient(f, w, s.port, ack))
}

// open opens connections, and returns an error unless all their segments arrive.
func (s *side) open(f family, w work, n int) error {
	var frames []frame
	for range n {
		frames = append(frames, s.opening(f, w)...)
	}
	_, err := s.send(frames)
	return err
}

// verify opens a connection and returns an error unless the director sends on its next segment as it should.
func (s *side) verify(f family, w work) error {
	if err := s.open(f, w, 1); err != nil {
		return err
	}
	sent, host, end := s.fromClient(f, w, s.port, ack), namespaces.Real1, s.server
	from, to := netip.AddrPortFrom(f.client, s.port), netip.AddrPortFrom(f.vip, w.port)
	switch {
	case w.server:
		sent, host, end = s.fromServer(f, s.port, ack), namespaces.Client, s.client
		from, to = to, from
	case w.port == masq:
		to = netip.AddrPortFrom(f.real, served)
	}
	want := way{from: end.to, to: end.from}.segment(from, to, ack)
	return s.rig.Do(host, func() error {
		tap, err := openTap("eth0")
		if err != nil {
			return err
		}
		defer unix.Close(tap)
		if _, err := transmit([]frame{sent}); err != nil {
			return err
		}
		got := make([]byte, 1500)
		n, err := unix.Read(tap, got)
		if err == nil && !bytes.Equal(unhop(got[:n]), unhop(want)) {
			err = fmt.Errorf("a segment came as\n%x instead of\n%x", got[:n], want)
		}
		return err
	})
}

// work does a work so many times and returns how many instructions each took.
func (s *side) work(f family, w work, n int) (float64, error) {
	var frames []frame
	if w.connection {
		for range n {
			frames = append(frames, s.opening(f, w)...)
		}
	} else {
		first := s.port + 1
		if err := s.open(f, w, established); err != nil {
			return 0, err
		}
		for i := range n {
			port := first + uint16(i%established)
			if w.server {
				frames = append(frames, s.fromServer(f, port, ack))
			} else {
				frames = append(frames, s.fromClient(f, w, port, ack))
			}
		}
	}
	took, err := s.send(frames)
	return float64(took) / float64(n), err
}

// nothing is the same with frames that the director's machine does not take.
func (s *side) nothing(f family, w work, n int) (float64, error) {
	each := 1
	if w.connection {
		each = len(s.opening(f, w))
	}
	length := len(s.fromClient(f, w, 1, ack).bytes)
	var frames []frame
	for range n * each {
		frames = append(frames, frame{s.client.fd, s.client.stray(length)})
	}
	took, err := transmit(frames)
	return float64(took) / float64(n), err
}

// send sends frames and returns what they took until each has arrived at the other end.
func (s *side) send(frames []frame) (time.Duration, error) {
	before, err := s.arrived()
	if err != nil {
		return 0, err
	}
	took, err := transmit(frames)
	if err != nil {
		return 0, err
	}
	after, err := s.arrived()
	if err != nil {
		return 0, err
	}
	if got := after - before; got < uint64(len(frames)) { // IPv6 says something of its own now and then
		return 0, fmt.Errorf("%w: %d of %d", errLost, got, len(frames))
	}
	return took, nil
}

// arrived is how many packets have come to both ends.
func (s *side) arrived() (uint64, error) {
	a, err := s.received(namespaces.Client)
	if err != nil {
		return 0, err
	}
	b, err := s.received(namespaces.Real1)
	return a + b, err
}

// transmit sends frames and returns how long that took. There is one processor: what a frame has the kernel do is done before
// the call returns.
func transmit(frames []frame) (time.Duration, error) {
	began := time.Now()
	for _, f := range frames {
		if _, err := unix.Write(f.fd, f.bytes); err != nil {
			return 0, fmt.Errorf("send: %w", err)
		}
	}
	return time.Since(began), nil
}
