package dataplanetest

import (
	"os"
	"testing"

	"github.com/lvsession/lvsession/bench/rig/qemu"
)

// whole is the environment variable that has TestDebianKernel try everything, which takes many minutes.
const whole = "LVSESSION_WHOLE"

// TestDebianKernel has the dataplanes of the kernel at work on Debian 12's, Linux 6.1, which has IPVS, a stricter verifier
// of BPF programs than later ones, and no TCX. What depends on how fast a busy machine emulates another one is only tried
// when all is.
func TestDebianKernel(t *testing.T) {
	guest := qemu.Start(t)
	if err := guest.Install(t.Context(), "github.com/lvsession/lvsession/cmd/lvsproxy"); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, of, some, all string }{
		{"packets", "ebpf/internal/bpf", "TestPackets", "TestPackets"},
		{"ipvs", "ipvs", "TestSuite/masq/masq/IPv4/^(Counts|Removal|Restart)$|TestSuite/gate/gate/IPv4/^(Counts|NarrowPath)$|TestSuite/ipip/ipip/IPv./^(Counts|NarrowPath)$", "TestSuite"},
		{"ebpf", "ebpf", "TestSuite/masq/masq/IPv4/^(Order|Restart)$", "TestSuite"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tests := tt.some
			if os.Getenv(whole) != "" {
				tests = tt.all
			}
			guest.Test(t, "github.com/lvsession/lvsession/lvsproxy/dataplane/"+tt.of, tests)
		})
	}
}
