package lvsproxy

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
)

// TestMaintenanceNames: which files take which server out.
func TestMaintenanceNames(t *testing.T) {
	names := map[string][]string{"10.0.0.2": {"web1.example.com."}, "2001:db8::2": {"web1.example.com.", "Web.example.com."}}
	tests := []struct {
		file, server string
		port         uint16
		out          bool
	}{
		{"10.0.0.2", "10.0.0.2:80", 80, true},
		{"10.0.0.2:80", "10.0.0.2:80", 80, true},
		{"10.0.0.2:81", "10.0.0.2:80", 80, false},
		{"10.0.0.2:8080", "10.0.0.2:80", 8080, true}, // the port of the server's line
		{"10.0.0.20", "10.0.0.2:80", 80, false},
		{"[2001:db8::2]", "[2001:db8::2]:80", 80, true},
		{"[2001:db8::2]:80", "[2001:db8::2]:80", 80, true},
		{"2001:db8::2", "[2001:db8::2]:80", 80, false}, // as in ldirectord
		{"web1.example.com", "10.0.0.2:80", 80, true},
		{"web1.example.com:80", "10.0.0.2:80", 80, true},
		{"web1.example.com:81", "10.0.0.2:80", 80, false},
		{"web1", "10.0.0.2:80", 80, true},
		{"web1:80", "[2001:db8::2]:80", 80, true},
		{"Web.example.com", "[2001:db8::2]:80", 80, true},
		{"Web", "[2001:db8::2]:80", 80, false}, // ldirectord's short names are lower case
		{"web1", "10.0.0.3:80", 80, false},
		{"", "10.0.0.2:80", 80, false},
	}
	for _, tt := range tests {
		dir := t.TempDir()
		if tt.file != "" {
			if err := os.WriteFile(filepath.Join(dir, tt.file), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		m := newMaintenance()
		m.lookup = func(_ context.Context, address string) ([]string, error) {
			if found := names[address]; found != nil {
				return found, nil
			}
			return nil, errors.New("no name")
		}
		servers := []held{{addr: netip.MustParseAddrPort(tt.server), port: tt.port}}
		m.decide(t.Context(), slog.New(slog.DiscardHandler), dir, servers)
		if out := servers[0].reason != ""; out != tt.out {
			t.Errorf("file %q, server %s of port %d: out is %v, want %v", tt.file, tt.server, tt.port, out, tt.out)
		}
	}
}

// TestNamesLast: one look-up for each address and minute; a name server that goes away changes nothing.
func TestNamesLast(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "web1"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m := newMaintenance()
	asked := 0
	var away error
	m.lookup = func(context.Context, string) ([]string, error) { asked++; return []string{"web1.example.com."}, away }
	out := func() bool {
		servers := []held{{addr: netip.MustParseAddrPort("10.0.0.2:80")}, {addr: netip.MustParseAddrPort("10.0.0.2:81")}}
		m.decide(t.Context(), slog.New(slog.DiscardHandler), dir, servers)
		return servers[0].reason != "" && servers[1].reason != ""
	}
	for range 2 {
		if !out() || asked != 1 {
			t.Errorf("asked %d times, want once", asked)
		}
	}
	for a, n := range m.names {
		n.until = n.until.Add(-2 * namesLast)
		m.names[a] = n
	}
	away = errors.New("away")
	if !out() || asked != 2 {
		t.Errorf("after %d look-ups the server is forgotten", asked)
	}
}
