package admin

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/lvsession/lvsession/lvsproxy/check"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func addr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

var table = []service.Snapshot{
	{ID: config.VirtualID{Protocol: config.FWM, FWMark: 7, IPv6: true}, Scheduler: "rr"},
	{ID: config.VirtualID{Protocol: config.TCP, Addr: addr("[2001:db8::1]:443")}, Scheduler: "rr", Servers: []service.ServerSnapshot{
		{Addr: addr("[2001:db8::101]:443"), Forward: config.IPIP, Weight: 1, State: check.Up},
	}},
	{ID: config.VirtualID{Protocol: config.UDP, Addr: addr("172.16.1.10:53")}, Scheduler: "wrr"},
	{ID: config.VirtualID{Protocol: config.TCP, Addr: addr("172.16.1.11:80")}, Scheduler: "wrr", Servers: []service.ServerSnapshot{
		{Addr: addr("192.168.0.102:80"), Forward: config.Masq, Weight: 1, State: check.Up, ActiveConns: 12, InactConns: 3},
		{Addr: addr("192.168.0.101:80"), Forward: config.Masq, State: check.Down, Reason: "refused"},
		{Addr: addr("192.168.0.101:8"), Forward: config.Gate, Weight: 65535, State: check.Up},
	}, Out: []service.ServerSnapshot{{Addr: addr("192.168.0.99:80"), Forward: config.Masq}}},
	{ID: config.VirtualID{Protocol: config.FWM, FWMark: 3}, Scheduler: "wrr"},
}

func TestList(t *testing.T) {
	want := `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  172.16.1.11:80 wrr
  -> 192.168.0.101:8              Route   65535  0          0         |
  -> 192.168.0.101:80             Masq    0      0          0         |
  -> 192.168.0.102:80             Masq    1      12         3         |
UDP  172.16.1.10:53 wrr
TCP  [2001:db8::1]:443 rr
  -> [2001:db8::101]:443          Tunnel  1      0          0         |
FWM  3 wrr
FWM  7 IPv6 rr
`
	var b strings.Builder
	if err := List(&b, table); err != nil {
		t.Fatal(err)
	}
	if got, want := b.String(), strings.ReplaceAll(want, "|", ""); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestServe: the table arrives as it is, again and again, until the server ends.
func TestServe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("got %v, %v; want mode 0660", info.Mode(), err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second director: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- Serve(ctx, l, func() []service.Snapshot { return table }) }()
	for range 3 {
		got, err := Table(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, table) {
			t.Errorf("got  %+v\nwant %+v", got, table)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := Table(t.Context(), path); err == nil || !strings.Contains(err.Error(), "no director listens") {
		t.Errorf("after the end: %v", err)
	}
}

func TestListenReplacesOnlyWhatIsStale(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "stale.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close() // as after kill -9: the socket's file stays
	again, err := Listen(stale)
	if err != nil {
		t.Fatalf("stale socket: %v", err)
	}
	again.Close()

	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(file); err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Errorf("file: %v", err)
	}
	if _, err := Listen(filepath.Join(dir, "absent", "x.sock")); err == nil || !strings.Contains(err.Error(), syscall.ENOENT.Error()) {
		t.Errorf("absent folder: %v", err)
	}
}
