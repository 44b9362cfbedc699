//go:build ignore

/* The programs of the ebpf dataplane. */

#include <stddef.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define AF_INET 2
#define AF_INET6 10

#include "icmp.h"
#include "packet.h"
#include "schedule.h"
#include "state.h"
#include "tunnel.h"

char LICENSE[] SEC("license") = "GPL"; /* for the kernel's helpers that ask for it */

static __always_inline int expired(struct conn *c)
{
	return c->expires < bpf_ktime_get_coarse_ns();
}

static __always_inline void reverse(struct flow *f, struct conn *c, struct flow *reply)
{
	reply->from = c->rip;
	reply->to = f->from;
	reply->from_port = c->port;
	reply->to_port = f->from_port;
	reply->protocol = f->protocol;
}

static __always_inline void carried(__u32 server, __u32 bytes, int out)
{
	struct counts *n = bpf_map_lookup_elem(&tallies, &server);

	if (!n)
		return;
	if (out) {
		n->out_packets++;
		n->out_bytes += bytes;
	} else {
		n->in_packets++;
		n->in_bytes += bytes;
	}
}

/* towards sends a packet of a client to the server of its connection. */
__noinline int towards(struct __sk_buff *skb, struct packet *p, struct conn *c)
{
	struct bpf_fib_lookup fib = {};

	if (!p || !c)
		return TC_ACT_SHOT;
	carried(c->server, p->bytes, 0);
	if (c->forward == FORWARD_LOCAL)
		return TC_ACT_UNSPEC;
	if (p->ttl <= 1)
		return drop(DROP_TTL);
	__u32 outer = c->forward == FORWARD_IPIP ? outer_bytes(p) : 0;
	__u32 id = c->server;
	struct server *server = bpf_map_lookup_elem(&servers, &id);
	/* One way to a server for all clients, as with IPVS. 0 is nobody's number. */
	long rc = way(skb, p, 0, &c->rip, outer, server && id ? &server->hop : 0, &fib);

	if (rc == BPF_FIB_LKUP_RET_FRAG_NEEDED) {
		if (p->whole)
			return too_big(skb, p, fib.mtu_result - outer);
		if (c->forward != FORWARD_MASQ)
			return drop(DROP_TOO_BIG);
		if (!rewrite(skb, p, 0, &c->rip, c->port, 0))
			return drop(DROP_MALFORMED);
		return TC_ACT_UNSPEC; /* the machine forwards it, in pieces */
	}
	if (c->forward == FORWARD_MASQ) {
		if (!rewrite(skb, p, 0, &c->rip, c->port, 1))
			return drop(DROP_MALFORMED);
	} else if (outer && !encapsulate(skb, p, c)) {
		return drop(DROP_MALFORMED);
	}
	return go(skb, &fib, rc);
}

/* back sends a packet of a server to the client, as if the VIP had sent it. */
__noinline int back(struct __sk_buff *skb, struct packet *p, struct conn *c, struct flow *client)
{
	struct bpf_fib_lookup fib = {};

	if (!p || !c || !client)
		return TC_ACT_SHOT;
	carried(c->server, p->bytes, 1);
	if (p->ttl <= 1)
		return drop(DROP_TTL);
	long rc = way(skb, p, &client->to, &client->from, 0, &c->to_client, &fib);

	if (rc == BPF_FIB_LKUP_RET_FRAG_NEEDED) {
		if (p->whole)
			return too_big(skb, p, fib.mtu_result);
		if (!rewrite(skb, p, 1, &client->to, client->to_port, 0))
			return drop(DROP_MALFORMED);
		return TC_ACT_UNSPEC;
	}
	if (!rewrite(skb, p, 1, &client->to, client->to_port, 1))
		return drop(DROP_MALFORMED);
	return go(skb, &fib, rc);
}

/* concerned_conn returns the connection that an error is about, the half-open ones among them: a real server's firewall refuses
 * connections by such errors. client is set if what the client has sent is quoted, and is left if the server's. */
static __always_inline struct conn *concerned_conn(struct flow *quoted, struct flow **client)
{
	struct conn *c = bpf_map_lookup_elem(&conns, quoted);

	if (c)
		return c;
	*client = bpf_map_lookup_elem(&replies, quoted);
	if (*client) {
		c = bpf_map_lookup_elem(&conns, *client);
		if (c)
			return c;
	}
	*client = bpf_map_lookup_elem(&half_replies, quoted);
	if (*client)
		return bpf_map_lookup_elem(&halves, *client);
	return bpf_map_lookup_elem(&halves, quoted);
}

/* error passes on an error of ICMP that is about a connection, with what it quotes changed as the receiver knows it. */
__noinline int error(struct __sk_buff *skb)
{
	struct concerned what = {};
	struct packet p = {};
	struct bpf_fib_lookup fib = {};
	struct flow *client = 0;

	if (skb->protocol == bpf_htons(ETH_P_IP) ? !concerns4(skb, &what) : !concerns6(skb, &what))
		return TC_ACT_UNSPEC;
	p.v6 = what.v6;
	p.flow.protocol = what.v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	struct conn *c = concerned_conn(&what.flow, &client);

	if (!c || expired(c) || c->forward == FORWARD_LOCAL)
		return TC_ACT_UNSPEC;
	if (client) { /* who says it is the VIP, as with IPVS: nobody outside knows the others. The machine would not forward that */
		long rc = way(skb, &p, &client->to, &client->from, 0, 0, &fib);

		readdress(skb, &what, 1, &what.sender, &client->to);
		requote(skb, &what, 0, &client->to, client->to_port);
		return go(skb, &fib, rc);
	}
	if (c->forward == FORWARD_IPIP)
		return TC_ACT_UNSPEC; /* IPVS does not tell either */
	long rc = way(skb, &p, &what.flow.from, &c->rip, 0, 0, &fib);

	if (c->forward == FORWARD_MASQ) {
		requote(skb, &what, 1, &c->rip, c->port);
		readdress(skb, &what, 0, &what.flow.to, &c->rip);
	}
	return go(skb, &fib, rc);
}

/* forget removes a connection whose time is up, or in whose place another one comes. f must be on the stack: see types.h. */
static __noinline int forget(struct flow *f, struct conn *c, int half)
{
	struct flow reply = {};
	__u32 server = c->server;
	__u8 state = c->state;

	reverse(f, c, &reply);
	if (half) {
		bpf_map_delete_elem(&half_replies, &reply);
		if (bpf_map_delete_elem(&halves, f))
			return 0; /* another processor was faster */
	} else {
		bpf_map_delete_elem(&replies, &reply);
		if (bpf_map_delete_elem(&conns, f))
			return 0;
	}
	if (server)
		ended(server, state);
	return 1;
}

/* keep puts a connection into the tables. */
static __noinline int keep(struct flow *f, struct conn *c, int half)
{
	struct flow key = *f, reply = {};
	long failed;

	reverse(&key, c, &reply);
	if (half) {
		if (c->forward == FORWARD_MASQ)
			bpf_map_update_elem(&half_replies, &reply, &key, BPF_ANY);
		failed = bpf_map_update_elem(&halves, &key, c, BPF_NOEXIST);
		if (failed) {
			struct conn *before = bpf_map_lookup_elem(&halves, &key);

			if (before && !before->server) /* it has moved, and is closed by now */
				failed = bpf_map_update_elem(&halves, &key, c, BPF_ANY);
		}
	} else {
		if (c->forward == FORWARD_MASQ)
			bpf_map_update_elem(&replies, &reply, &key, BPF_ANY);
		failed = bpf_map_update_elem(&conns, &key, c, BPF_NOEXIST);
	}
	return !failed;
}

/* promote gives a connection whose client has answered the server's SYN its place among the others. What is left is nobody's,
 * and makes room as it is: to take it out would cost as much as all else. */
static __noinline int promote(struct flow *f, struct conn *half)
{
	if (!keep(f, half, 0))
		return 0;
	half->server = 0;
	half->expires = 0;
	return 1;
}

static __always_inline struct service *service_of(struct packet *p)
{
	struct service_key key = {.vip = p->flow.to, .port = p->flow.to_port, .protocol = p->flow.protocol};
	struct service *s = bpf_map_lookup_elem(&services, &key);

	if (s)
		return s;
	key.port = 0;
	return bpf_map_lookup_elem(&services, &key);
}

static __always_inline void mask(struct address *a, __u32 bits)
{
	for (int i = 0; i < 16; i++) {
		int left = (int)bits - i * 8;

		if (left <= 0)
			a->bytes[i] = 0;
		else if (left < 8)
			a->bytes[i] &= 0xff << (8 - left);
	}
}

/* remembered returns the server that persistence has for a client, or picks one and remembers it. */
__noinline int remembered(struct service *s, struct packet *p)
{
	if (!s || !p)
		return 0;
	struct template_key key = {.client = p->flow.from, .service = s->id};
	__u64 now = bpf_ktime_get_coarse_ns();

	mask(&key.client, s->netmask);
	struct template *t = bpf_map_lookup_elem(&templates, &key);

	if (t && t->expires >= now && usable(t->server)) {
		t->expires = now + s->persistence * 1000000000ULL;
		return t->server;
	}
	struct template fresh = {.server = pick(s, p), .expires = now + s->persistence * 1000000000ULL};

	if (fresh.server)
		bpf_map_update_elem(&templates, &key, &fresh, BPF_ANY);
	return fresh.server;
}

/* begin makes a connection for the first packet of a client. It returns false if there is no server for it. */
__noinline int begin(struct service *service, struct packet *p, struct conn *c)
{
	if (!service || !p || !c)
		return 0;
	__u32 id = service->persistence ? remembered(service, p) : pick(service, p);
	struct server *server = bpf_map_lookup_elem(&servers, &id);

	if (!id || !server)
		return 0;
	c->service = service->id;
	c->server = id;
	c->forward = server->forward;
	c->rip = server->rip;
	c->port = server->port ?: p->flow.to_port;
	c->state = p->flow.protocol == IPPROTO_TCP ? STATE_SYN_RECV : STATE_UDP;

	__u32 zero = 0;
	struct tuning *all = bpf_map_lookup_elem(&settings, &zero);

	if (all)
		c->expires = bpf_ktime_get_coarse_ns() + all->timeouts[c->state == STATE_UDP ? STATE_UDP : STATE_SYN_RECV];
	struct counts *n = bpf_map_lookup_elem(&tallies, &id);

	if (n)
		n->conns++;
	return 1;
}

/* fresh schedules the first packet of a connection. */
__noinline int fresh(struct __sk_buff *skb, struct packet *p)
{
	struct conn c = {};

	if (!p)
		return TC_ACT_SHOT;
	struct service *s = service_of(p);

	if (!s)
		return TC_ACT_UNSPEC;
	int half = p->flow.protocol == IPPROTO_TCP;

	__u8 kind = p->flags & (FLAG_SYN | FLAG_ACK | FLAG_RST);

	if (half && kind != FLAG_SYN && !(kind == FLAG_ACK && s->flags & SERVICE_SLOPPY))
		return TC_ACT_UNSPEC; /* of no connection: the machine refuses it */
	if (!begin(s, p, &c))
		return drop(DROP_NO_SERVER);
	if (!(s->flags & SERVICE_ONE_PACKET) && keep(&p->flow, &c, half))
		began(c.server, c.state);
	return towards(skb, p, &c);
}

/* from_client guesses which way a packet goes, so that it is looked for first where it is: each place that it is not in is memory that
 * nobody has touched lately. */
static __always_inline int from_client(struct packet *p)
{
	__u32 port = bpf_ntohs(p->flow.to_port), word = port / 64;
	__u64 *bits = bpf_map_lookup_elem(&virtual_ports, &word);

	return bits && *bits >> port % 64 & 1;
}

#define NOBODYS 0x100 /* besides TC_ACT_* */

/* answered sends on what a server has sent, if it is of a connection, or of a half-open one. */
static __noinline int answered(struct __sk_buff *skb, struct packet *p, int half)
{
	struct flow *client = half ? bpf_map_lookup_elem(&half_replies, &p->flow) : bpf_map_lookup_elem(&replies, &p->flow);

	if (!client)
		return NOBODYS;
	struct conn *c = half ? bpf_map_lookup_elem(&halves, client) : bpf_map_lookup_elem(&conns, client);

	if (!c || expired(c))
		return NOBODYS;
	step(c, p, FROM_SERVER);
	return back(skb, p, c, client);
}

SEC("tc")
int ingress(struct __sk_buff *skb)
{
	struct packet p = {};
	struct conn *c;

	if (skb->pkt_type != PACKET_HOST)
		return TC_ACT_UNSPEC; /* another machine's, which a switch did not know, or that somebody listens to */
	switch (parse(skb, &p)) {
	case TAKEN:
		break;
	case MALFORMED:
		count_drop(DROP_MALFORMED); /* the machine knows what to do with it */
		return TC_ACT_UNSPEC;
	case UNKNOWN_FRAGMENT:
		count_drop(DROP_FRAGMENT);
		return TC_ACT_UNSPEC;
	default:
		return error(skb);
	}
	__u8 syn = p.flow.protocol == IPPROTO_TCP && p.l4 ? p.flags & (FLAG_SYN | FLAG_ACK) : 0; /* else it is 0, or an ACK */
	int opening = syn == FLAG_SYN, accepting = syn == (FLAG_SYN | FLAG_ACK);
	int sent = from_client(&p), verdict;

	if (!sent && accepting) {
		verdict = answered(skb, &p, 1);
		if (verdict != NOBODYS)
			return verdict;
	}
	if (!sent) {
		verdict = answered(skb, &p, 0);
		if (verdict != NOBODYS)
			return verdict;
	}
	c = bpf_map_lookup_elem(&conns, &p.flow);
	if (c) {
		if (!expired(c) && !(opening && c->state >= STATE_FIN_WAIT && c->state <= STATE_LAST_ACK)) {
			step(c, &p, c->forward == FORWARD_MASQ ? FROM_CLIENT : FROM_CLIENT_ONLY);
			return towards(skb, &p, c);
		}
		forget(&p.flow, c, 0);
		return fresh(skb, &p);
	}
	if (sent && !opening) {
		verdict = answered(skb, &p, 0);
		if (verdict != NOBODYS)
			return verdict;
	}
	if (!sent && !accepting) {
		verdict = answered(skb, &p, 1);
		if (verdict != NOBODYS)
			return verdict;
	}
	c = bpf_map_lookup_elem(&halves, &p.flow);
	if (c) {
		if (!expired(c) && !(c->state == STATE_CLOSE && opening)) {
			step(c, &p, c->forward == FORWARD_MASQ ? FROM_CLIENT : FROM_CLIENT_ONLY);
			verdict = towards(skb, &p, c);
			if (c->state != STATE_SYN_RECV)
				promote(&p.flow, c); /* after which its place may be another's */
			return verdict;
		}
		forget(&p.flow, c, 1);
		return fresh(skb, &p);
	}
	if (sent && !opening) {
		verdict = answered(skb, &p, 1);
		if (verdict != NOBODYS)
			return verdict;
	}
	return fresh(skb, &p);
}

#include "early.h" /* which uses what is above */

/* Go gets these too. */
const enum scheduler *unused_scheduler __attribute__((unused));
const enum service_flag *unused_service_flag __attribute__((unused));
const enum forward *unused_forward __attribute__((unused));
const enum state *unused_state __attribute__((unused));
const enum drop *unused_drop __attribute__((unused));
