package ebpf_test

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/lvsession/lvsession/bench/rig/namespaces"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/dataplanetest"
)

// TestSuite: the dataplane does what all must. What waits for time-outs, or floods, or is about who is picked and not about how
// packets get there, is tried by one method: the others share all that it looks at.
func TestSuite(t *testing.T) {
	once := map[string]string{}
	for _, name := range []string{"Threshold", "Drain", "Flood", "Persistence", "Fallback", "Refused", "SameClient"} {
		once[name] = "tried by masq"
	}
	for forward, lacks := range map[config.Forward]map[string]string{config.Masq: nil, config.Gate: once, config.IPIP: once} {
		var tunnels sync.Once
		pin := func(rig *namespaces.Rig) []string {
			return []string{"--bpf-pin", filepath.Join(rig.Pins(), "director"), "--bpf-max-conns", "100000"}
		}
		t.Run(string(forward), func(t *testing.T) {
			dataplanetest.Run(t, dataplanetest.Subject{
				Name: "ebpf", Forwards: []config.Forward{forward}, Lacks: lacks, Transparent: true, LargeTable: true, Outlives: true,
				Args: func(rig *namespaces.Rig, program string) []string {
					if forward == config.IPIP {
						tunnels.Do(func() { decapsulate(t, rig, program) })
					}
					return pin(rig)
				},
				Detach: func(rig *namespaces.Rig, program string) []string {
					return append([]string{program, "dataplane", "detach"}, pin(rig)...)
				},
			})
		})
	}
}

// decapsulate has the real servers take packets out of tunnels, whose kernel may have none. It ends with the rig.
func decapsulate(t *testing.T, rig *namespaces.Rig, program string) {
	t.Helper()
	for _, h := range []namespaces.Host{namespaces.Real1, namespaces.Real2} {
		cmd := rig.Command(t.Context(), h, program,
			"dataplane", "decapsulate", namespaces.VIP, namespaces.VIP6, "--bpf-pin", filepath.Join(rig.Pins(), string(h)))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", cmd.Args, err, out)
		}
	}
}
