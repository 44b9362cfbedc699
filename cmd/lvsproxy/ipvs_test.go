package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/rig/qemu"
)

// ipvsConfig has a service of each kind. All real servers count as alive.
const ipvsConfig = `virtual=192.0.2.1:80
	checktype=on
	real=10.0.0.1:80 masq 1
	real=10.0.0.2:8080 masq 3
	scheduler=wrr
	persistent=300
	netmask=255.255.255.0
	protocol=tcp
virtual=192.0.2.1:81
	checktype=on
	real=10.0.0.1:81 masq 1
	scheduler=rr
	protocol=tcp
virtual=192.0.2.1:53
	checktype=on
	real=10.0.0.2:53 gate 2
	protocol=udp
	scheduler=rr
virtual=7
	checktype=on
	real=10.0.0.3 ipip 4
	protocol=fwm
	scheduler=wlc
virtual6=[2001:db8::1]:80
	checktype=on
	real6=[2001:db8:1::1]:80 gate
	protocol=tcp
	scheduler=sh
`

// ipvsScript starts lvsproxy, and says after each step what the kernel's table is.
const ipvsScript = `set -e
ip link set lo up
ip link add d0 type dummy
ip link set d0 up
ip addr add 192.0.2.1/24 dev d0
ip addr add 10.0.0.1/24 dev d0
ipvsadm -A -t 192.0.2.1:8443 -s rr
director() {
	lvsproxy --config /srv/ipvs.cf --dataplane ipvs --admin /run/ipvs.sock --state-file off --drain-timeout 1s 2>>/run/ipvs.log &
	pid=$!
}
await() { # COMMAND PATTERN: until the command prints a line like it
	for i in $(seq 200); do
		if $1 2>/dev/null | grep -q -e "$2"; then return; fi
		sleep 0.1
	done
	echo "no $2 of $1"; ipvsadm -Sn; cat /run/ipvs.log; exit 1
}
table() { echo "== $1"; ipvsadm -Sn | sort; }
export LVSPROXY_ADMIN=/run/ipvs.sock
director
await 'ipvsadm -Sn' '-r .2001:db8:1::1.:80'
await 'ipvsadm -Sn' '-r 10.0.0.3'
await 'ipvsadm -Sn' '-r 10.0.0.2:53'
await 'ipvsadm -Sn' '-r 10.0.0.1:81'
await 'ipvsadm -Sn' '-r 10.0.0.1:80'
table started
lvsadm -e -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 0 -x 9 -y 4
await 'ipvsadm -Sn' '-r 10.0.0.1:80 -m -w 0$'
echo "== thresholds"; ipvsadm -Ln --thresholds -t 192.0.2.1:80 | tr -s ' '
lvsadm -e -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 1
await 'ipvsadm -Sn' '-r 10.0.0.1:80 -m -w 1$'
lvsadm --set 100 20 30
echo "== timeouts"; ipvsadm -Ln --timeout
lvsadm --start-daemon backup --mcast-interface d0 --syncid 3
echo "== daemon"; ipvsadm -Ln --daemon
lvsadm --stop-daemon backup
perl -MIO::Socket::INET -e '
	my $l = IO::Socket::INET->new(LocalAddr => "10.0.0.1", LocalPort => 81, Listen => 1) or die "listen: $!";
	my $c = IO::Socket::INET->new(PeerAddr => "192.0.2.1", PeerPort => 81, Timeout => 10) or die "connect: $!";
	my $s = $l->accept; print $s "carried\n"; close $s; print "== traffic\n", scalar <$c>;'
await 'lvsadm -Ln --stats -t 192.0.2.1:81' '-> 10.0.0.1:81  *1 ' # the kernel adds up what it has counted every two seconds
echo "== stats"; lvsadm -Ln --stats -t 192.0.2.1:81 | tr -s ' '
echo "== connections"; lvsadm -Lnc
kill -9 $pid; wait $pid || true
table killed
director
await 'lvsadm -Sn' '-r 10.0.0.1:80'
echo "== adopted"; ipvsadm -Ln --stats -t 192.0.2.1:81 | tr -s ' '
kill $pid; wait $pid
table ended
`

// TestIPVS has the kernel's own IPVS carry connections, in a guest, for the machine's may have none.
func TestIPVS(t *testing.T) {
	guest := qemu.Start(t)
	for _, program := range []string{"lvsproxy", "lvsadm"} {
		if err := guest.Install(t.Context(), "github.com/lvsession/lvsession/cmd/"+program); err != nil {
			t.Fatal(err)
		}
	}
	if err := guest.Put(t.Context(), "/srv/ipvs.cf", 0o644, []byte(ipvsConfig)); err != nil {
		t.Fatal(err)
	}
	r, err := guest.Run(t.Context(), qemu.Command{Args: []string{"sh", "-c", ipvsScript}, NewNet: true, Timeout: 2 * time.Minute})
	if err != nil || r.Code != 0 {
		t.Fatalf("%+v (%v)", r, err)
	}
	others := "-A -t 192.0.2.1:8443 -s rr"
	ours := []string{
		others,
		"-A -t 192.0.2.1:80 -s wrr -p 300 -M 255.255.255.0",
		"-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 1",
		"-a -t 192.0.2.1:80 -r 10.0.0.2:8080 -m -w 3",
		"-A -t 192.0.2.1:81 -s rr",
		"-a -t 192.0.2.1:81 -r 10.0.0.1:81 -m -w 1",
		"-A -u 192.0.2.1:53 -s rr",
		"-a -u 192.0.2.1:53 -r 10.0.0.2:53 -g -w 2",
		"-A -f 7 -s wlc",
		"-a -f 7 -r 10.0.0.3:0 -i -w 4 --tun-type ipip",
		"-A -t [2001:db8::1]:80 -s sh",
		"-a -t [2001:db8::1]:80 -r [2001:db8:1::1]:80 -g -w 1",
	}
	slices.Sort(ours)
	for name, want := range map[string][]string{"started": ours, "killed": ours, "ended": {others}} {
		got := section(r.Stdout, name)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: the kernel has\n%s\ninstead of\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	for name, want := range map[string]string{
		"thresholds": "10.0.0.1:80 9 4 ", "timeouts": "100 20 30", "daemon": "backup sync daemon (mcast=d0, syncid=3", "traffic": "carried", "connections": "192.0.2.1:81",
		"stats": "10.0.0.1:81 1 4 4 ", "adopted": "10.0.0.1:81 1 4 4 ", // another process's service is not made anew
	} {
		if got := strings.Join(section(r.Stdout, name), "\n"); !strings.Contains(got, want) {
			t.Errorf("%s: %q is not in\n%s", name, want, got)
		}
	}
}

// section returns the lines after "== name".
func section(text, name string) []string {
	_, text, _ = strings.Cut("\n"+text, "\n== "+name+"\n")
	text, _, _ = strings.Cut(text, "\n== ")
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}
