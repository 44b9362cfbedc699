package lvsproxy_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lvsession/lvsession/lvsproxy"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

func idOf(vip string) config.VirtualID {
	return config.VirtualID{Protocol: config.TCP, Addr: netip.MustParseAddrPort(vip)}
}

func masq(weight int) service.ServerSettings {
	return service.ServerSettings{Forward: config.Masq, Weight: weight}
}

// TestByHand: a director without a configuration is filled and emptied by hand, as a kernel is by ipvsadm.
func TestByHand(t *testing.T) {
	a, b := startServer(t, "127.0.0.2", named("a")), startServer(t, "127.0.0.3", named("b"))
	v := vips{}
	vip := v.add(t, "127.0.0.1")
	d := run(t, v, "", lvsproxy.Options{})
	id, rr := idOf(vip), service.Settings{Scheduler: "rr"}
	steps := []struct {
		name string
		do   func() error
		want error
		seen string // the table then
	}{
		{"a server of no service", func() error { return d.AddServer(id, a.addrPort(), masq(1)) }, service.ErrNoService, ""},
		{"edit no service", func() error { return d.EditService(id, rr) }, service.ErrNoService, ""},
		{"delete no service", func() error { return d.DeleteService(id) }, service.ErrNoService, ""},
		{"zero no service", func() error { return d.Zero(&id) }, service.ErrNoService, ""},
		{"no such scheduler", func() error { return d.AddService(id, service.Settings{Scheduler: "x"}) }, service.ErrUnknownScheduler, ""},
		{"a service", func() error { return d.AddService(id, rr) }, nil, "rr"},
		{"once more", func() error { return d.AddService(id, rr) }, service.ErrServiceExists, "rr"},
		{"edit no server", func() error { return d.EditServer(id, a.addrPort(), masq(1)) }, service.ErrNoServer, "rr"},
		{"a server", func() error { return d.AddServer(id, a.addrPort(), masq(1)) }, nil, "rr a=1"},
		{"once more", func() error { return d.AddServer(id, a.addrPort(), masq(1)) }, service.ErrServerExists, "rr a=1"},
		{"another", func() error { return d.AddServer(id, b.addrPort(), masq(2)) }, nil, "rr b=2 a=1"},
		{"weight", func() error { return d.EditServer(id, b.addrPort(), masq(0)) }, nil, "rr b=0 a=1"},
		{"no such weight", func() error { return d.EditServer(id, b.addrPort(), masq(-1)) }, service.ErrRange, "rr b=0 a=1"},
		{"thresholds the wrong way", func() error {
			return d.EditServer(id, b.addrPort(), service.ServerSettings{Forward: config.Masq, Lower: 3, Upper: 2})
		}, service.ErrRange, "rr b=0 a=1"},
		{"another address family", func() error { return d.AddServer(id, netip.MustParseAddrPort("[::1]:1"), masq(1)) }, service.ErrInvalid, "rr b=0 a=1"},
		{"what the dataplane cannot do", func() error {
			return d.AddServer(id, netip.MustParseAddrPort("10.0.0.1:1"), service.ServerSettings{Forward: config.IPIP})
		}, service.ErrUnsupported, "rr b=0 a=1"},
		{"scheduler", func() error { return d.EditService(id, service.Settings{Scheduler: "wrr"}) }, nil, "wrr b=0 a=1"},
		{"remove", func() error { return d.DeleteServer(id, a.addrPort()) }, nil, "wrr b=0"},
		{"once more", func() error { return d.DeleteServer(id, a.addrPort()) }, service.ErrNoServer, "wrr b=0"},
		{"a reload", func() error { return d.Reload(parse(t, "")) }, nil, "wrr b=0"},
		{"zero", func() error { return d.Zero(nil) }, nil, "wrr b=0"},
		{"flush", d.Flush, nil, ""},
	}
	for _, step := range steps {
		if err := step.do(); !errors.Is(err, step.want) {
			t.Errorf("%s: got %v, want %v", step.name, err, step.want)
		}
		if got := seen(d, a, b); got != step.seen {
			t.Errorf("%s: the table is %q, want %q", step.name, got, step.seen)
		}
	}
	if got := d.Hand(); len(got) != 0 {
		t.Errorf("left over: %v", got)
	}
}

// seen writes the first service of the table as "rr b=2 a=1".
func seen(d *director, a, b *realServer) string {
	table := d.Table()
	if len(table) == 0 {
		return ""
	}
	text := table[0].Scheduler
	for _, s := range table[0].Servers {
		name := map[string]string{a.addr: "a", b.addr: "b"}[s.Addr.String()]
		text += fmt.Sprintf(" %s=%d", name, s.Weight)
	}
	return text
}

// TestHandOverConfiguration: what is done by hand to a configured service outlives checks, reloads and the director.
func TestHandOverConfiguration(t *testing.T) {
	a, b := startServer(t, "127.0.0.2", named("a")), startServer(t, "127.0.0.3", named("b"))
	v := vips{}
	vip := v.add(t, "127.0.0.1")
	text := section(vip, "scheduler=rr", "real="+a.addr+" masq 1", "real="+b.addr+" masq 2")
	d := run(t, v, text, lvsproxy.Options{})
	id := idOf(vip)
	do := func(want string, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if got := seen(d, a, b); got != want {
			t.Fatalf("the table is %q, want %q", got, want)
		}
	}
	do("rr b=2 a=1", nil)
	do("rr b=2", d.DeleteServer(id, a.addrPort()))
	do("rr b=0", d.EditServer(id, b.addrPort(), masq(0)))
	do("rr b=0", d.Reload(parse(t, text)))
	b.kill()
	d.await(service.ServerDown, b.addr)
	do("rr", nil)
	b.start()
	d.await(service.ServerUp, b.addr)
	do("rr b=0", nil)

	// Another director, as after a restart.
	w := vips{}
	other := w.add(t, "127.0.0.1")
	edits := d.Hand()
	if len(edits) != 1 || len(edits[0].Hand.Servers) != 2 {
		t.Fatalf("by hand: %+v", edits)
	}
	edits[0].ID = idOf(other)
	after := run(t, w, strings.ReplaceAll(text, vip, other), lvsproxy.Options{Hand: edits})
	if got := seen(after, a, b); got != "rr b=0" {
		t.Errorf("after a restart the table is %q", got)
	}

	do("rr a=1 b=0", d.AddServer(id, a.addrPort(), masq(1)))
	do("rr a=1 b=2", d.EditServer(id, b.addrPort(), masq(2)))
	if got := d.Hand(); len(got) != 0 {
		t.Errorf("all is as configured again, but by hand there is %+v", got)
	}
	do("", d.DeleteService(id))
	do("", d.Reload(parse(t, text)))
	v[id.Addr] = relisten(t, vip)
	do("rr", d.AddService(id, service.Settings{Scheduler: "rr"}))
	d.await(service.ServerUp, b.addr) // its check began anew
	do("rr b=2", d.AddServer(id, b.addrPort(), masq(2)))
	if got := ask(t, vip); got != "b" {
		t.Errorf("got %s", got)
	}
}

// TestTimeouts: 0 leaves a time-out as it is.
func TestTimeouts(t *testing.T) {
	d := run(t, vips{}, "", lvsproxy.Options{})
	if err := d.SetTimeouts(service.Timeouts{UDP: time.Minute}); err != nil {
		t.Fatal(err)
	}
	if got, want := d.Timeouts(), (service.Timeouts{TCP: 15 * time.Minute, TCPFin: 2 * time.Minute, UDP: time.Minute}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if err := d.SetTimeouts(service.Timeouts{TCP: -1}); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("a negative time-out: %v", err)
	}
}

// TestDrainTimeout: the connections of a server, and of a service, that was removed are cut off at the end of the drain
// time-out; those of others go on.
func TestDrainTimeout(t *testing.T) {
	a, b := startServer(t, "127.0.0.2", named("a")), startServer(t, "127.0.0.3", named("b"))
	v := vips{}
	vip, other := v.add(t, "127.0.0.1"), v.add(t, "127.0.0.1")
	const drain = "draintimeout=100ms"
	second := section(other, drain, "real="+b.addr+" masq")
	d := run(t, v, section(vip, drain, "scheduler=rr", "real="+a.addr+" masq", "real="+b.addr+" masq")+second, lvsproxy.Options{})
	_, onB := greeting(t, vip)
	_, onA := greeting(t, vip)
	_, onOther := greeting(t, other)
	gone := func(c *net.TCPConn) {
		t.Helper()
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("got %v, want a reset", err)
		}
	}
	if err := d.DeleteServer(idOf(vip), a.addrPort()); err != nil {
		t.Fatal(err)
	}
	d.await(service.ServerDrained, a.addr)
	gone(onA)
	echoes(t, onB)
	if err := d.Reload(parse(t, second)); err != nil {
		t.Fatal(err)
	}
	d.await(service.ServerDrained, b.addr)
	gone(onB)
	echoes(t, onOther)
}

// TestHandOutlivesRestart: what was changed by hand is in the state file, and a service that cannot be opened any more
// keeps no director from starting.
func TestHandOutlivesRestart(t *testing.T) {
	a := startServer(t, "127.0.0.2", named("a"))
	v := vips{}
	vip, other := v.add(t, "127.0.0.1"), v.add(t, "127.0.0.1")
	o := lvsproxy.Options{StateFile: filepath.Join(t.TempDir(), "state")}
	d := run(t, v, "", o)
	for _, id := range []config.VirtualID{idOf(vip), idOf(other)} {
		if err := d.AddService(id, service.Settings{Scheduler: "wlc"}); err != nil {
			t.Fatal(err)
		}
		if err := d.AddServer(id, a.addrPort(), masq(7)); err != nil {
			t.Fatal(err)
		}
	}
	d.stop()
	w := vips{idOf(vip).Addr: relisten(t, vip)}
	relisten(t, other) // somebody else has taken it
	after := run(t, w, "", o)
	if got := seen(after, a, a); got != "wlc b=7" && got != "wlc a=7" || len(after.Table()) != 1 {
		t.Errorf("after a restart the table is %q, %d services", got, len(after.Table()))
	}
	if len(after.Hand()) != 2 {
		t.Errorf("by hand: %+v", after.Hand())
	}
	if err := after.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := after.Reload(parse(t, "")); err != nil {
		t.Error(err)
	}
}
