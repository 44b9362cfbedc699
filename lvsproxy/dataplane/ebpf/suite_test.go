package ebpf_test

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/lvsession/lvsession/bench/rig/namespaces"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/dataplanetest"
)

// TestSuite: the dataplane does what all must.
func TestSuite(t *testing.T) {
	pin := func(rig *namespaces.Rig) []string {
		return []string{"--bpf-pin", filepath.Join(rig.Pins(), "director"), "--bpf-max-conns", "100000"}
	}
	var tunnels sync.Once
	args := func(rig *namespaces.Rig) []string {
		tunnels.Do(func() { decapsulate(t, rig) })
		return pin(rig)
	}
	dataplanetest.Run(t, dataplanetest.Subject{
		Name:        "ebpf",
		Forwards:    []config.Forward{config.Masq, config.Gate, config.IPIP},
		Args:        args,
		Detach:      func(rig *namespaces.Rig) []string { return append([]string{"dataplane", "detach"}, pin(rig)...) },
		Transparent: true,
		LargeTable:  true,
		Outlives:    true,
	})
}

// decapsulate has the real servers take packets out of tunnels, whose kernel may have none. It ends with the rig.
func decapsulate(t *testing.T, rig *namespaces.Rig) {
	t.Helper()
	for _, h := range []namespaces.Host{namespaces.Real1, namespaces.Real2} {
		cmd := rig.Command(t.Context(), h, filepath.Join(rig.Dir(), "lvsproxy"),
			"dataplane", "decapsulate", namespaces.VIP, namespaces.VIP6, "--bpf-pin", filepath.Join(rig.Pins(), string(h)))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", cmd.Args, err, out)
		}
	}
}
