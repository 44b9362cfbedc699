package ipvs_test

import (
	"testing"

	"github.com/lvsession/lvsession/bench/rig/namespaces"
	"github.com/lvsession/lvsession/bench/rig/qemu"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/dataplanetest"
)

// remembered has clients that persistence remembers leave servers of weight 0.
const remembered = "echo 1 >/proc/sys/net/ipv4/vs/expire_quiescent_template"

// clear empties the tables of the network namespace. Of connections whose server is gone the kernel only lets go at once when
// it is told to.
const clear = `
echo 1 >/proc/sys/net/ipv4/vs/expire_nodest_conn
ipvsadm -C
for i in $(seq 100); do
	if ! grep -q '^[TU]' /proc/net/ip_vs_conn; then
		echo 0 >/proc/sys/net/ipv4/vs/expire_nodest_conn
		exit
	fi
	sleep 0.05
done
cat /proc/net/ip_vs_conn
exit 1`

// TestSuite: the dataplane does what all must, with the kernel's own module. Package dataplanetest runs this in a guest.
func TestSuite(t *testing.T) {
	if !qemu.Inside() {
		t.Skip("it is run in the guest, by dataplanetest.TestDebianKernel")
	}
	for _, forward := range []config.Forward{config.Masq, config.Gate, config.IPIP} {
		t.Run(string(forward), func(t *testing.T) { // each in a network of its own, where IPVS remembers nothing
			dataplanetest.Run(t, dataplanetest.Subject{
				Name: "ipvs", Forwards: []config.Forward{forward}, Transparent: true, Outlives: true, CutsOff: true,
				Lines: "\tcleanstop=no\n",
				Args: func(rig *namespaces.Rig, _ string) []string {
					on(t, rig, namespaces.Director, remembered)
					if forward == config.IPIP {
						on(t, rig, namespaces.Real1, tunnels)
						on(t, rig, namespaces.Real2, tunnels)
					}
					return nil
				},
				Lacks:  map[string]string{"Flood": "how fast an emulated processor is says nothing"},
				Detach: func(*namespaces.Rig, string) []string { return []string{"sh", "-c", clear} },
			})
		})
	}
}

// tunnels has a real server take packets out of tunnels.
const tunnels = "/bin/ip link set tunl0 up && /bin/ip link set ip6tnl0 up"

// on runs a script on a host.
func on(t *testing.T, rig *namespaces.Rig, h namespaces.Host, script string) {
	t.Helper()
	if out, err := rig.Command(t.Context(), h, "sh", "-c", script).CombinedOutput(); err != nil {
		t.Errorf("on %s: %v: %s", h, err, out)
	}
}
