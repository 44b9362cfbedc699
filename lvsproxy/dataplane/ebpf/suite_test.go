package ebpf_test

import (
	"testing"

	"github.com/lvsession/lvsession/bench/rig/namespaces"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/dataplanetest"
)

// TestSuite: the dataplane does what all must.
func TestSuite(t *testing.T) {
	pin := func(rig *namespaces.Rig) []string {
		return []string{"--bpf-pin", rig.Pins(), "--bpf-max-conns", "100000"}
	}
	dataplanetest.Run(t, dataplanetest.Subject{
		Name:        "ebpf",
		Forwards:    []config.Forward{config.Masq, config.Gate},
		Args:        pin,
		Detach:      func(rig *namespaces.Rig) []string { return append([]string{"dataplane", "detach"}, pin(rig)...) },
		Transparent: true,
		LargeTable:  true,
		Outlives:    true,
	})
}
