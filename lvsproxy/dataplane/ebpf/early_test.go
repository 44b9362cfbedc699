package ebpf_test

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/lvsession/lvsession/bench/rig/namespaces"
	"github.com/lvsession/lvsession/bench/rig/need"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/dataplanetest"
	dataplane "github.com/lvsession/lvsession/lvsproxy/dataplane/ebpf"
)

// TestXDP: with XDP connections go on, end and are counted as without, and most of their packets never come to traffic control.
func TestXDP(t *testing.T) {
	need.Program(t, "ethtool", "ethtool")
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		need.Skip(t, "the runs of programs are not counted: "+err.Error())
	}
	defer stats.Close()
	tried := map[config.Forward][]string{config.Masq: {"Counts", "Bodies", "Restart"}, config.Gate: {"Bodies"}}
	for forward, behaviours := range tried {
		var once sync.Once
		runs := map[string]uint64{}
		t.Run(string(forward), func(t *testing.T) {
			pin := func(rig *namespaces.Rig) string { return filepath.Join(rig.Pins(), "director") }
			dataplanetest.Run(t, dataplanetest.Subject{
				Name: "ebpf", Forwards: []config.Forward{forward}, Only: behaviours, Transparent: true, LargeTable: true, Outlives: true,
				Args: func(rig *namespaces.Rig, _ string) []string {
					once.Do(func() { asNICs(t, rig) })
					return []string{"--bpf-pin", pin(rig), "--bpf-max-conns", "100000", "--xdp", "on"}
				},
				Detach: func(rig *namespaces.Rig, program string) []string {
					count(t, rig, pin(rig), runs)
					return []string{program, "dataplane", "detach", "--bpf-pin", pin(rig)}
				},
			})
			if t.Logf("%s: packets at each place: %v", forward, runs); runs["xdp"] < 1000 || runs["tcx"] > runs["xdp"]/2 {
				t.Errorf("%s: packets at each place: %v; want half of them to be sent on by XDP", forward, runs)
			}
		})
	}
}

// count adds how often programs were run, by where they are.
func count(t *testing.T, rig *namespaces.Rig, pin string, runs map[string]uint64) {
	t.Helper()
	if err := rig.Do(namespaces.Director, func() error {
		state, err := dataplane.Inspect(pin)
		if err != nil {
			return err
		}
		seen := map[int]bool{}
		for _, at := range state.Programs {
			if seen[at.Program] {
				continue
			}
			seen[at.Program] = true
			p, err := ebpf.NewProgramFromID(ebpf.ProgramID(at.Program))
			if err != nil {
				return err
			}
			stats, err := p.Stats()
			p.Close()
			if err != nil {
				return err
			}
			runs[at.By] += stats.RunCount
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// asNICs has the other ends of the director's veths receive what XDP sends them, and send packets with all checksums, as come from
// a wire.
func asNICs(t *testing.T, rig *namespaces.Rig) {
	t.Helper()
	for _, h := range []namespaces.Host{namespaces.Client, namespaces.Real1, namespaces.Real2} {
		cmd := rig.Command(t.Context(), h, "ethtool", "-K", "eth0", "gro", "on", "tx", "off")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", cmd.Args, err, out)
		}
	}
}
