/* What the programs and the director share: the layout of all maps. Go has the same types, generated from these. A change
 * that an older map would not be read by asks for another schema version (see pins.go).
 *
 * Addresses are of 16 bytes; those of IPv4 are mapped into IPv6 (::ffff:a.b.c.d). Ports and addresses are in network order,
 * times are nanoseconds of CLOCK_MONOTONIC, numbers of services and servers begin at 1: 0 is nobody. */
#ifndef LVSPROXY_TYPES_H
#define LVSPROXY_TYPES_H

struct address {
	__u8 bytes[16];
};

struct mac {
	__u8 bytes[6];
	__u16 zero;
};

/* A virtual service: port 0 takes every port that has no service of its own. */
struct service_key {
	struct address vip;
	__be16 port;
	__u8 protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	__u8 zero;
};

enum scheduler {
	SCHEDULER_CYCLE, /* rr, wrr: slots one after the other, round and round */
	SCHEDULER_SH,    /* slots by the kernel's hash of sh */
	SCHEDULER_MH,    /* slots by the kernel's hash of mh */
	SCHEDULER_LC,    /* the list in IPVS's order, and each server's connections */
	SCHEDULER_WLC,
	SCHEDULER_SED,
	SCHEDULER_NQ,
};

enum service_flag {
	SERVICE_ONE_PACKET = 1, /* each datagram is scheduled for itself */
	SERVICE_FALLBACK = 2,   /* sh-fallback, mh-fallback */
	SERVICE_PORT = 4,       /* sh-port, mh-port */
	SERVICE_SLOPPY = 8,     /* a connection may begin in its middle: it was another director's */
};

struct service {
	__u32 id;
	__u32 flags;
	__u32 scheduler;
	__u32 persistence; /* seconds; 0: none */
	__u32 netmask;     /* bits of a client's address, of 128, that persistence looks at */
	__u32 zero; /* which the verifier does not know: see pick */
};

enum forward {
	FORWARD_MASQ,
	FORWARD_GATE,
	FORWARD_IPIP,
	FORWARD_LOCAL, /* an address of this machine, at the service's own port */
};

/* A next hop, as the machine's routes said a moment ago. */
struct next_hop {
	__u32 ifindex;
	__u32 until; /* in 2^27 ns; then the routes are asked again */
	__u8 dmac[6];
	__u8 smac[6];
	__u16 mtu;
	__u8 peer; /* the interface is a shortcut */
	__u8 zero;
};

struct server {
	struct address rip;
	__be16 port;
	__u8 forward;
	__u8 zero;
	__u32 service; /* whose it is */
	__u32 weight;  /* 0: gets no new connection */
	__u32 upper;   /* 0: no thresholds */
	__u32 lower;
	struct next_hop hop; /* the programs' own: Go writes zeros */
};

/* How many connections a server has now, by IPVS's definition. The programs count, and Go takes away what was evicted. */
struct load {
	__s64 active;
	__s64 inactive;
	__s64 persistent;
	__u64 overloaded; /* 1 from when a threshold is reached until there is room again */
};

/* What a server was sent and has sent, since it got its number. */
struct counts {
	__u64 conns;
	__u64 in_packets;
	__u64 out_packets;
	__u64 in_bytes;
	__u64 out_bytes;
};

/* One direction of a connection, as its packets say. */
struct flow {
	struct address from;
	struct address to;
	__be16 from_port;
	__be16 to_port;
	__u8 protocol;
	__u8 zero[3];
};

/* IPVS's states of TCP (ip_vs.h). UDP has one. */
enum state {
	STATE_NONE,
	STATE_ESTABLISHED,
	STATE_SYN_SENT,
	STATE_SYN_RECV,
	STATE_FIN_WAIT,
	STATE_TIME_WAIT,
	STATE_CLOSE,
	STATE_CLOSE_WAIT,
	STATE_LAST_ACK,
	STATE_LISTEN,
	STATE_SYNACK,
	STATE_UDP,
	STATES,
};

struct conn {
	__u32 service;
	__u32 server;
	__u64 expires; /* from then on it is as if it were not there */
	__u8 state;
	__u8 forward;
	__be16 port; /* the server's */
	__u32 zero;
	struct address rip;
	struct next_hop to_client;
};

/* What tells the fragments of a datagram from others. */
struct fragment_key {
	struct address from;
	struct address to;
	__be32 id;
	__u32 protocol;
};

/* The ports, which only the first fragment has. */
struct fragment {
	__be16 from_port;
	__be16 to_port;
};

/* A template of persistence: where a client, or a network of clients, goes. */
struct template_key {
	struct address client; /* masked */
	__u32 service;
};

struct template {
	__u32 server;
	__u32 zero;
	__u64 expires;
};

struct tuning {
	__u64 timeouts[STATES]; /* ns by state */
	struct address outer;   /* what tunnels of IPv4 come from, and of IPv6 */
	struct address outer6;
	__u32 vary;  /* which of the last 32 bits of those are to differ by connection, so that receivers spread them */
	__u32 vary6;
};

enum drop {
	DROP_NO_SERVER,  /* no server may be picked */
	DROP_MALFORMED,  /* what the packet says of itself is not so */
	DROP_FRAGMENT,   /* a fragment to a virtual service */
	DROP_TOO_BIG,    /* larger than the way on, and whoever sent it was told so */
	DROP_NO_ROUTE,   /* the real server cannot be reached */
	DROP_STALE,      /* the server of a connection is no more */
	DROP_TTL,        /* it has come too far */
	DROP_FULL,       /* the table has no room */
	DROPS,
};

#endif
