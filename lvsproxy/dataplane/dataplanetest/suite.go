// Package dataplanetest is the suite that every dataplane which carries connections must pass. It is looked at from outside:
// the program lvsproxy runs on the director of the namespaces rig, real servers stand behind it, clients in front, and the
// admin socket says what was counted.
//
// Everything but what waits long is tried with IPv4 and IPv6, and with each forwarding method that the dataplane has.
package dataplanetest

import (
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/lvsession/lvsession/bench/rig/namespaces"
	"github.com/lvsession/lvsession/bench/rig/need"
	"github.com/lvsession/lvsession/bench/rig/qemu"
	"github.com/lvsession/lvsession/lvsproxy/config"
)

// Subject is a dataplane, and what it claims.
type Subject struct {
	Name     string // as --dataplane has it
	Forwards []config.Forward
	// Args returns further arguments of lvsproxy, the program; it may be nil.
	Args func(rig *namespaces.Rig, program string) []string
	// Detach returns the command that takes away what a process that has ended left in the kernel; it may be nil.
	Detach func(rig *namespaces.Rig, program string) []string
	// Transparent tells that real servers see their clients' addresses.
	Transparent bool
	// LargeTable tells that mh's table is larger than the kernel's, so that other servers are picked.
	LargeTable bool
	// Outlives tells that connections go on when the process ends, be it by SIGKILL, and that another one finds them.
	// Otherwise they go on when SIGUSR2 replaces it.
	Outlives bool
	// CutsOff tells that connections end, or are heard of no more, when their server is taken out of the table, as with IPVS.
	CutsOff bool
	// Lines are further ones of every virtual service.
	Lines string
	// Only has the behaviours that are tried; none means all.
	Only []string
	// Lacks has the behaviours that the dataplane does not have, by name, and why.
	Lacks map[string]string
}

// behaviour is something that every dataplane must do.
type behaviour struct {
	name string
	run  func(*bed)
	slow bool // it waits for time-outs, and knows nothing of addresses: IPv4 is enough
}

// behaviours are all.
var behaviours = []behaviour{
	{name: "Counts", run: counts}, // first: IPVS remembers what servers had before
	{name: "Order", run: order},
	{name: "SameClient", run: sameClient},
	{name: "Weight", run: weight},
	{name: "Removal", run: removal},
	{name: "Drain", run: drain, slow: true},
	{name: "Threshold", run: threshold, slow: true},
	{name: "Persistence", run: persistence},
	{name: "Fallback", run: fallback},
	{name: "Bodies", run: bodies},
	{name: "NarrowPath", run: narrowPath},
	{name: "PortReused", run: portReused},
	{name: "Straight", run: straight},
	{name: "HalfClosed", run: halfClosed},
	{name: "Reset", run: reset},
	{name: "Refused", run: refused},
	{name: "Datagrams", run: datagrams},
	{name: "Restart", run: restart},
	{name: "Flood", run: synFlood},
}

// lvsproxy returns the program. In the guest, which has no compiler, it is installed.
func lvsproxy(t *testing.T, rig *namespaces.Rig) string {
	t.Helper()
	if qemu.Inside() {
		return need.Program(t, "lvsproxy", "lvsproxy")
	}
	program := filepath.Join(rig.Dir(), "lvsproxy")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/lvsession/lvsession/cmd/lvsproxy").CombinedOutput(); err != nil {
		t.Fatalf("build lvsproxy: %v: %s", err, out)
	}
	return program
}

// Run runs the suite. It needs root.
func Run(t *testing.T, s Subject) {
	rig := namespaces.Need(t)
	program := lvsproxy(t, rig)
	addClients(t, rig)
	for _, forward := range s.Forwards {
		for _, f := range families {
			t.Run(string(forward)+"/"+f.name, func(t *testing.T) {
				for i, b := range behaviours {
					if b.slow && !f.vip.Is4() || len(s.Only) > 0 && !slices.Contains(s.Only, b.name) {
						continue
					}
					if passed := t.Run(b.name, func(t *testing.T) {
						if why := s.Lacks[b.name]; why != "" {
							t.Skip(why) // what the dataplane cannot, and not what the machine lacks
						}
						b.run(newBed(t, rig, s, program, forward, f))
					}); !passed && i == 0 {
						t.Fatal("the rest is not tried: each would wait in vain")
					}
				}
			})
		}
	}
}
