package lvsproxy_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/lvsession/lvsession/lvsproxy"
	"github.com/lvsession/lvsession/lvsproxy/check"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// TestMaintenance: a file takes a server out for as long as it is there, from the start on, and reloads respect it.
func TestMaintenance(t *testing.T) {
	a, b := startServer(t, "127.0.0.2", named("a")), startServer(t, "127.0.0.3", named("b"))
	v := vips{}
	vip := v.add(t, "127.0.0.1")
	dir := t.TempDir()
	file := filepath.Join(dir, a.addr)
	put := func() {
		t.Helper()
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	remove := func() {
		t.Helper()
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	put()
	header := "checkinterval=1\n"
	with := header + "maintenancedir=" + dir + "\n"
	both := section(vip, "checktype=connect", "scheduler=rr", "quiescent=yes", "real="+a.addr+" masq", "real="+b.addr+" masq")
	d := run(t, v, with+both, lvsproxy.Options{})
	if got := sequence(t, vip, 3); got != "bbb" {
		t.Errorf("with a in maintenance from the start: %s", got)
	}
	table := d.Table()[0]
	if len(table.Servers) != 2 {
		t.Fatalf("table %+v: want the server that is quiescent in it", table)
	}
	for _, s := range table.Servers {
		if s.Addr.String() == a.addr && (s.Weight != 0 || s.State != check.Down || s.Reason != "in maintenance: file "+a.addr) {
			t.Errorf("got %+v", s)
		}
	}

	remove()
	d.await(service.ServerUp, a.addr)
	if got := sequence(t, vip, 4); got != "abab" && got != "baba" {
		t.Errorf("after maintenance: %s", got)
	}
	put()
	d.await(service.ServerDown, a.addr)
	if got := sequence(t, vip, 2); got != "bb" {
		t.Errorf("in maintenance again: %s", got)
	}
	reload := func(text string) {
		t.Helper()
		if err := d.Reload(parse(t, text)); err != nil {
			t.Fatal(err)
		}
	}
	reload(header + both)
	d.await(service.ServerUp, a.addr)
	reload(with + both)
	d.await(service.ServerDown, a.addr)
	if got := sequence(t, vip, 2); got != "bb" {
		t.Errorf("after a reload: %s", got)
	}
}

// TestMaintenanceOfAll: the fallback stands in when nobody else is left.
func TestMaintenanceOfAll(t *testing.T) {
	a, f := startServer(t, "127.0.0.2", named("a")), startServer(t, "127.0.0.3", named("f"))
	v := vips{}
	vip := v.add(t, "127.0.0.1")
	dir := t.TempDir()
	d := run(t, v, "checkinterval=1\nmaintenancedir="+dir+"\n"+
		section(vip, "checktype=connect", "real="+a.addr+" masq", "fallback="+f.addr+" masq"), lvsproxy.Options{})
	if got := sequence(t, vip, 1); got != "a" {
		t.Errorf("got %s", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "127.0.0.2"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d.await(service.FallbackOn, f.addr)
	if got := sequence(t, vip, 1); got != "f" {
		t.Errorf("in maintenance: %s", got)
	}
}
