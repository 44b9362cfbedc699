package check

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/rig/need"
	"github.com/lvsession/lvsession/lvsproxy/config"
)

// scriptFile writes a program for an external check.
func scriptFile(t *testing.T, mode os.FileMode, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "check me") // a blank in a path is nothing special
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestExternal(t *testing.T) {
	need.Program(t, "perl", "perl")
	v4 := config.VirtualID{Protocol: config.TCP, Addr: netip.MustParseAddrPort("172.16.1.11:80")}
	v6 := config.VirtualID{Protocol: config.TCP, Addr: netip.MustParseAddrPort("[2001:db8::1]:80")}
	mark := config.VirtualID{Protocol: config.FWM, FWMark: 7}
	const sh, perl = config.CheckExternal, config.CheckExternalPerl
	tests := []struct {
		name    string
		kind    config.CheckType
		virtual config.VirtualID
		real    string
		script  string
		reason  string // what it contains if the check fails
	}{
		{"arguments", sh, v4, "192.168.0.101:8080", "#!/bin/sh\n[ \"$*\" = '172.16.1.11 80 192.168.0.101 8080' ]", ""},
		{"IPv6", sh, v6, "[2001:db8::2]:80", "#!/bin/sh\n[ \"$*\" = '[2001:db8::1] 80 [2001:db8::2] 80' ]", ""},
		{"firewall mark", sh, mark, "192.168.0.101:0", "#!/bin/sh\n[ \"$*\" = '7 0 192.168.0.101 0' ]", ""},
		{"environment", sh, v4, "192.168.0.101:80", "#!/bin/sh\n[ \"$EXTERNAL_TEST\" = yes ]", ""},
		{"status", sh, v4, "192.168.0.101:80", "#!/bin/sh\necho disk full\nexit 2", "exit status 2: disk full"},
		{"killed", sh, v4, "192.168.0.101:80", "#!/bin/sh\nkill -9 $$", "signal: killed"},
		{"hangs", sh, v4, "192.168.0.101:80", "#!/bin/sh\nsleep 60", "did not end within"},
		{"no program", sh, v4, "192.168.0.101:80", "", "exec format error"},
		{"perl", perl, v4, "192.168.0.101:80", "exit(join(' ', @ARGV) eq '172.16.1.11 80 192.168.0.101 80' ? 0 : 1);", ""},
		{"perl without exit", perl, v4, "192.168.0.101:80", "1;", ""},
		{"perl that dies", perl, v4, "192.168.0.101:80", "die \"no luck\\n\"", "exit status 255: no luck"},
	}
	t.Setenv("EXTERNAL_TEST", "yes")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			mode := os.FileMode(0o755)
			if tt.kind == perl {
				mode = 0o644
			}
			v := virtual(config.Check{Type: tt.kind, Command: scriptFile(t, mode, tt.script), ConnectTimeout: 20 * time.Second})
			if tt.name == "hangs" {
				v.Check.ConnectTimeout = 300 * time.Millisecond
			}
			v.ID = tt.virtual
			r := first(t, ForReal(v, config.Real{Addr: netip.MustParseAddrPort(tt.real)}, 1))
			if r.OK != (tt.reason == "") || !strings.Contains(r.Reason, tt.reason) {
				t.Errorf("got %v, %q; want %q", r.OK, r.Reason, tt.reason)
			}
		})
	}
}

func TestPing(t *testing.T) {
	for _, target := range []string{"127.0.0.1:0", "127.9.9.9:80", "[::1]:0"} {
		p, err := openPinger(netip.MustParseAddrPort(target).Addr())
		if err != nil {
			need.Skip(t, "no ICMP socket: needs net.ipv4.ping_group_range or CAP_NET_RAW")
		}
		p.Close()
		v := virtual(config.Check{Type: config.CheckPing, Count: 2})
		if r := first(t, ForReal(v, config.Real{Addr: netip.MustParseAddrPort(target)}, 1)); !r.OK || r.Reason != "answers ping" {
			t.Errorf("%s: got %v, %q", target, r.OK, r.Reason)
		}
	}
}

// TestPingSilent: a target that never answers takes checkcount time-outs, and a canceled check none. The target is this
// machine's own address, and the answers are taken to be to another packet.
func TestPingSilent(t *testing.T) {
	p, err := openPinger(netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		need.Skip(t, "no ICMP socket: needs net.ipv4.ping_group_range or CAP_NET_RAW")
	}
	defer p.Close()
	p.target = netip.MustParseAddr("127.0.0.2")
	start := time.Now()
	if err := p.ping(1, 100*time.Millisecond); err == nil || time.Since(start) < 100*time.Millisecond {
		t.Errorf("an answer from another address counts: %v after %v", err, time.Since(start))
	}
	p.target = netip.MustParseAddr("127.0.0.1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newPing(Spec{Target: netip.MustParseAddrPort("127.0.0.1:0"), ConnectTimeout: time.Minute})(ctx); err == nil {
		t.Error("a canceled check succeeds")
	}
}

// TestConnectOfUDP: the connect check of a UDP service is a ping, and so is that of a combined check.
func TestConnectOfUDP(t *testing.T) {
	v := virtual(config.Check{Type: config.CheckConnect, Count: 3})
	v.ID.Protocol = config.UDP
	real := config.Real{Addr: netip.MustParseAddrPort("127.0.0.1:53")}
	s := ForReal(v, real, 1)
	if s.Type != config.CheckPing || s.Count != 3 || s.Target.Port() != 0 {
		t.Errorf("got %v, %d packets", s, s.Count)
	}
	v.Check.Type, v.Check.Service = config.CheckCombined, "dns"
	if s := ForReal(v, real, 1); s.Count != 3 || !s.UDP {
		t.Errorf("got %v, %d packets, UDP %v", s, s.Count, s.UDP)
	}
}
