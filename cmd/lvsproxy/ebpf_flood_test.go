package main

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/lvsession/lvsession/bench/rig/flood"
	"github.com/lvsession/lvsession/bench/rig/namespaces"
)

// TestKernelSloppyFlood: where connections may begin in their middle, a flood of ACKs from clients that are not there has a table to
// itself, as one of SYNs has: established transfers go on, the tables stay as large as they were made, and new clients are served.
func TestKernelSloppyFlood(t *testing.T) {
	const most, some = 5_000, 20
	r := needKernelRig(t, namespaces.Options{})
	r.serveEchoTCP(namespaces.Real1, namespaces.Real1IP, 7)
	r.serveEchoTCP(namespaces.Real2, namespaces.Real2IP, 7)
	vip := at(namespaces.VIP, 7)
	p := r.start(fmt.Sprintf("virtual=%s\n\tprotocol=tcp\n\tscheduler=mh\n\tchecktype=on\n\treal=%s masq\n\treal=%s masq\n",
		vip, at(namespaces.Real1IP, 7), at(namespaces.Real2IP, 7)), "--sloppy-tcp", "--bpf-max-conns", fmt.Sprint(most))
	ts := r.open(t, vip, some)
	ts.move("before the flood")

	var sent flood.Sent
	ended := make(chan error, 1)
	go func() {
		ended <- r.Do(namespaces.Client, func() (err error) {
			sent, err = flood.SYN(t.Context(), flood.Options{Target: netip.MustParseAddrPort(vip), Rate: 50_000, Span: 2 * time.Second, ACK: true})
			return err
		})
	}()
	for over := false; !over; {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			over = true
		default:
			ts.move("in the flood")
		}
	}
	ts.move("after the flood")
	r.open(t, vip, 1).move("that began after the flood")
	r.end(p) // now nobody but the kernel changes the tables
	if sent.SYNs < 2*most {
		t.Errorf("the flood was a trickle: %+v", sent)
	}
	halves, conns := r.entries("halves"), r.entries("conns")
	t.Logf("%.0f ACKs a second; %d connections are half open, %d are not", sent.Rate(), halves, conns)
	if halves < some || halves > most {
		t.Errorf("of %d ACKs %d began a connection, at most %d have room", sent.SYNs, halves, most)
	}
	if conns < some || conns > most/2 { // some client may have come twice by chance
		t.Errorf("%d connections are established, want little more than %d", conns, some)
	}
}

// entries returns how many there are in a table.
func (r *kernelRig) entries(name string) (n int) {
	r.t.Helper()
	pinned, err := filepath.Glob(filepath.Join(r.pin, "v*", name))
	if err != nil || len(pinned) != 1 {
		r.t.Fatalf("the tables %s: %v, %v", name, pinned, err)
	}
	m, err := ebpf.LoadPinnedMap(pinned[0], &ebpf.LoadPinOptions{ReadOnly: true})
	if err != nil {
		r.t.Fatal(err)
	}
	defer m.Close()
	var before any // the first key has none
	for key := make([]byte, m.KeySize()); ; n++ {
		if err := m.NextKey(before, key); errors.Is(err, ebpf.ErrKeyNotExist) {
			return n
		} else if err != nil {
			r.t.Fatal(err)
		}
		before = key
	}
}
