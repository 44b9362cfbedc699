package ipvsadm

// options are all options of ipvsadm 1.31.
var options = []option{
	{"add-service", 'A', without},
	{"edit-service", 'E', without},
	{"delete-service", 'D', without},
	{"clear", 'C', without},
	{"list", 'L', without},
	{"list", 'l', without},
	{"zero", 'Z', without},
	{"add-server", 'a', without},
	{"edit-server", 'e', without},
	{"delete-server", 'd', without},
	{"set", 0, without},
	{"help", 'h', without},
	{"version", 'v', without},
	{"restore", 'R', without},
	{"save", 'S', without},
	{"start-daemon", 0, required},
	{"stop-daemon", 0, required},
	{"tcp-service", 't', required},
	{"udp-service", 'u', required},
	{"sctp-service", 0, required},
	{"fwmark-service", 'f', required},
	{"scheduler", 's', required},
	{"persistent", 'p', optional},
	{"netmask", 'M', required},
	{"real-server", 'r', required},
	{"masquerading", 'm', without},
	{"ipip", 'i', without},
	{"gatewaying", 'g', without},
	{"weight", 'w', required},
	{"u-threshold", 'x', required},
	{"l-threshold", 'y', required},
	{"numeric", 'n', without},
	{"connection", 'c', without},
	{"mcast-interface", 0, required},
	{"syncid", 0, required},
	{"timeout", 0, without},
	{"daemon", 0, without},
	{"stats", 0, without},
	{"rate", 0, without},
	{"thresholds", 0, without},
	{"persistent-conn", 0, without},
	{"nosort", 0, without},
	{"sort", 0, without},
	{"exact", 'X', without},
	{"ipv6", '6', without},
	{"ops", 'o', without},
	{"pe", 0, required},
	{"sched-flags", 'b', required},
	{"mcast-group", 0, required},
	{"mcast-port", 0, required},
	{"mcast-ttl", 0, required},
	{"sync-maxlen", 0, required},
	{"tun-info", 0, without},
	{"tun-type", 0, required},
	{"tun-port", 0, required},
	{"tun-nocsum", 0, without},
	{"tun-csum", 0, without},
	{"tun-remcsum", 0, without},
}

// kinds of options, in the order in which ipvsadm checks whether a command has them. Some options share one.
var kinds = []string{
	"numeric", "connection", "service-address", "scheduler", "persistent", "netmask", "real-server", "forwarding-method",
	"weight", "u-threshold", "l-threshold", "mcast-interface", "timeout", "daemon", "stats", "rate", "thresholds",
	"persistent-conn", "nosort", "syncid", "exact", "ops", "pe", "sched-flags", "mcast-group", "mcast-port", "mcast-ttl",
	"sync-maxlen", "tun-info", "tun-type", "tun-port", "tun-nocsum", "tun-csum", "tun-remcsum",
}

// kindOf returns the kind of an option, or "" for one that ipvsadm does not check (--sort, -6).
func kindOf(long string) string {
	switch long {
	case "tcp-service", "udp-service", "sctp-service", "fwmark-service":
		return "service-address"
	case "masquerading", "ipip", "gatewaying":
		return "forwarding-method"
	case "sort", "ipv6":
		return ""
	}
	return long
}

// usage is which kinds of options something takes. It needs those in needs; it may have those in may, and one of those
// in oneOf; it must have no other.
type usage struct {
	needs, may, oneOf []string
}

var (
	serviceOptions = []string{"scheduler", "persistent", "netmask", "ops", "pe", "sched-flags"}
	serverOptions  = []string{"forwarding-method", "weight", "u-threshold", "l-threshold", "tun-type", "tun-port", "tun-nocsum", "tun-csum", "tun-remcsum"}
)

// verbs are what a command line can ask for.
var verbs = map[Verb]usage{
	AddService:    {needs: []string{"service-address"}, may: serviceOptions},
	EditService:   {needs: []string{"service-address"}, may: serviceOptions},
	DeleteService: {needs: []string{"service-address"}},
	Flush:         {},
	List: {
		may:   []string{"numeric", "stats", "rate", "thresholds", "persistent-conn", "nosort", "syncid", "exact", "tun-info"},
		oneOf: []string{"connection", "service-address", "timeout", "daemon"},
	},
	AddServer:    {needs: []string{"service-address", "real-server"}, may: serverOptions},
	DeleteServer: {needs: []string{"service-address", "real-server"}},
	EditServer:   {needs: []string{"service-address", "real-server"}, may: serverOptions},
	SetTimeouts:  {},
	StartDaemon:  {may: []string{"mcast-interface", "syncid", "mcast-group", "mcast-port", "mcast-ttl", "sync-maxlen"}},
	StopDaemon:   {may: []string{"syncid"}},
	Restore:      {},
	Save:         {may: []string{"numeric"}},
	Zero:         {may: []string{"service-address"}},
}

// tunnelKinds are the options of tunnels in the order of their check.
var tunnelKinds = []string{"tun-port", "tun-nocsum", "tun-csum", "tun-remcsum"}

// tunnels are the types of tunnels.
var tunnels = map[string]usage{
	"ipip": {},
	"gue":  {needs: []string{"tun-port"}, oneOf: []string{"tun-nocsum", "tun-csum", "tun-remcsum"}},
	"gre":  {oneOf: []string{"tun-nocsum", "tun-csum"}},
}

// commandName is the word for a verb in messages: the kernel's flush is --clear on the command line.
func commandName(v Verb) string {
	if v == Flush {
		return "flush"
	}
	return string(v)
}
