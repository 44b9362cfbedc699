package ipvsadm

import "strings"

// Version is what --version prints, to the byte: scripts read it.
const Version = "ipvsadm v1.31 2019/12/24 (compiled with popt and IPVS v1.2.1)\n"

// Usage is what -h prints: after ipvsadm's version, words of our own.
func Usage(program string) string {
	return Version + strings.ReplaceAll(help, "ipvsadm", program)
}

const help = `Usage:
  ipvsadm                              list the table
  ipvsadm -L [SERVICE] [LIST OPTION]...
  ipvsadm -A|-E SERVICE [-s SCHEDULER] [-b FLAG,...] [-p [SECONDS]] [-M NETMASK] [--pe ENGINE] [-o]
  ipvsadm -D SERVICE
  ipvsadm -a|-e SERVICE -r SERVER [SERVER OPTION]...
  ipvsadm -d SERVICE -r SERVER
  ipvsadm -Z [SERVICE]
  ipvsadm -C
  ipvsadm -S [-n]
  ipvsadm -R
  ipvsadm --set TCP TCPFIN UDP
  ipvsadm --start-daemon master|backup [DAEMON OPTION]...
  ipvsadm --stop-daemon master|backup [--syncid N]
  ipvsadm -h | -v

Commands:
  -A, --add-service      a new virtual service
  -E, --edit-service     change a virtual service
  -D, --delete-service   remove a virtual service
  -C, --clear            remove all virtual services
  -R, --restore          run the commands on standard input, one a line
  -S, --save             print the commands that make the table
  -a, --add-server       a new real server
  -e, --edit-server      change a real server
  -d, --delete-server    remove a real server
  -L, -l, --list         print the table
  -Z, --zero             set counters to zero
      --set              set the time-outs of connections, in seconds; 0 leaves one as it is
      --start-daemon     begin to send (master) or to take (backup) connections
      --stop-daemon      end that

SERVICE:
  -t, --tcp-service HOST:PORT
  -u, --udp-service HOST:PORT
      --sctp-service HOST:PORT
  -f, --fwmark-service N [-6]     packets with this firewall mark; -6 for those of IPv6

SERVICE options:
  -s, --scheduler NAME      rr|wrr|lc|wlc|lblc|lblcr|dh|sh|sed|nq|fo|ovf|mh; default wlc
  -b, --sched-flags FLAG,...  sh-fallback, sh-port, mh-fallback, mh-port, flag-1, flag-2, flag-3
  -p, --persistent [SECONDS]  a client goes to the same server for so long; default 360
  -M, --netmask NETMASK     which clients count as one: a mask, or a length for IPv6
      --pe ENGINE           persistence by more than the address: sip
  -o, --ops                 each datagram is scheduled for itself

SERVER options:
  -r, --real-server HOST[:PORT]
  -g, --gatewaying          forward by direct routing; the default
  -i, --ipip                forward through a tunnel
  -m, --masquerading        forward by NAT
  -w, --weight N            0 to 2147483647; default 1
  -x, --u-threshold N       no more than so many connections
  -y, --l-threshold N       new ones again below so many
      --tun-type TYPE       ipip|gue|gre; default ipip
      --tun-port N          destination port of gue
      --tun-nocsum, --tun-csum, --tun-remcsum

LIST options:
  -n, --numeric             numbers instead of names
  -c, --connection          the connections
      --timeout             the time-outs
      --daemon              the daemons of --start-daemon
      --stats, --rate       counters, or what they grow by in a second
  -X, --exact               numbers in full
      --thresholds          the limits of -x and -y
      --persistent-conn     with persistent connections
      --tun-info            with the tunnels
      --nosort              in the table's order
      --sort                the default

DAEMON options:
      --syncid N            0 to 255; default 0
      --mcast-interface IF  default eth0
      --mcast-group ADDR, --mcast-port N, --mcast-ttl N, --sync-maxlen N
`
