package netlink

// The family's name and version.
const (
	familyName    = "IPVS"
	familyVersion = 1
)

// command is one of IPVS_CMD_*.
type command uint8

const (
	newService command = 1
	setService command = 2
	delService command = 3
	getService command = 4
	newDest    command = 5
	setDest    command = 6
	delDest    command = 7
	getDest    command = 8
	newDaemon  command = 9
	delDaemon  command = 10
	getDaemon  command = 11
	setConfig  command = 12
	getConfig  command = 13
)

// IPVS_CMD_ATTR_*: what a message consists of.
const (
	attrService       = 1
	attrDest          = 2
	attrDaemon        = 3
	attrTimeoutTCP    = 4
	attrTimeoutTCPFin = 5
	attrTimeoutUDP    = 6
)

// IPVS_SVC_ATTR_*: what a service consists of.
const (
	svcFamily    = 1
	svcProtocol  = 2
	svcAddr      = 3
	svcPort      = 4
	svcFWMark    = 5
	svcScheduler = 6
	svcFlags     = 7
	svcTimeout   = 8
	svcNetmask   = 9
	svcEngine    = 11
)

// IPVS_SVC_F_*.
const (
	flagPersistent = 0x1
	flagHashed     = 0x2 // the kernel's own
)

// IPVS_DEST_ATTR_*: what a real server consists of.
const (
	destAddr       = 1
	destPort       = 2
	destForward    = 3
	destWeight     = 4
	destUpper      = 5
	destLower      = 6
	destActive     = 7
	destInactive   = 8
	destPersistent = 9
	destFamily     = 11
	destStats64    = 12 // since Linux 4.1
	destTunType    = 13 // tunnels other than ipip since Linux 5.3
	destTunPort    = 14
	destTunFlags   = 15
)

// IPVS_STATS_ATTR_*: what was counted.
const (
	statsConns      = 1
	statsInPackets  = 2
	statsOutPackets = 3
	statsInBytes    = 4
	statsOutBytes   = 5
)

// IPVS_DAEMON_ATTR_*: what a synchronisation daemon consists of.
const (
	daemonState     = 1
	daemonInterface = 2
	daemonSyncID    = 3
	daemonMaxLen    = 4
	daemonGroup     = 5
	daemonGroup6    = 6
	daemonPort      = 7
	daemonTTL       = 8
)
