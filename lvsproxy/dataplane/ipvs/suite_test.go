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
	dataplanetest.Run(t, dataplanetest.Subject{
		Name: "ipvs", Forwards: []config.Forward{config.Masq, config.Gate, config.IPIP}, Transparent: true, Outlives: true, CutsOff: true,
		Lines: "\tcleanstop=no\n",
		Args: func(rig *namespaces.Rig, _ string) []string {
			if out, err := rig.Command(t.Context(), namespaces.Director, "sh", "-c", remembered).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
			return nil
		},
		Lacks: map[string]string{
			"Drain": "IPVS cannot cut one connection off: draintimeout is refused",
			"Flood": "how fast an emulated processor is says nothing",
		},
		Detach: func(*namespaces.Rig, string) []string { return []string{"sh", "-c", clear} },
	})
}
