/* Errors of ICMP: those that are about connections, and those that the director sends itself. */
#ifndef LVSPROXY_ICMP_H
#define LVSPROXY_ICMP_H

#include "packet.h"

/* What linux/icmp.h and linux/icmpv6.h have, which cannot be included without the C library. */
enum {
	ICMP_DEST_UNREACH = 3,
	ICMP_TIME_EXCEEDED = 11,
	ICMP_PARAMETERPROB = 12,
	ICMP_FRAG_NEEDED = 4,
	ICMPV6_PKT_TOOBIG = 2,
};

struct icmp_header {
	__u8 type;
	__u8 code;
	__sum16 checksum;
	__be32 mtu;
};

/* quoted bounds what an error quotes: an IP header without options and the least header of TCP. */
#define QUOTED4 (sizeof(struct iphdr) + 20)
#define QUOTED6 (sizeof(struct ipv6hdr) + 20)

/* An error that is being made. It is too large for the stack. */
struct draft {
	union {
		struct {
			struct iphdr ip;
			struct icmp_header icmp;
		} v4;
		struct {
			struct ipv6hdr ip;
			struct icmp_header icmp;
		} v6;
	};
	struct {
		struct in6_addr from, to;
		__be32 length;
		__be32 next;
	} pseudo;
	__u8 quoted[QUOTED6];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, sizeof(struct draft));
} drafts SEC(".maps");

/* return_to_sender sends what has become of a packet back out of where it came in. */
static __always_inline int return_to_sender(struct __sk_buff *skb)
{
	__u8 macs[18]; /* to, from, and to again */

	if (bpf_skb_load_bytes(skb, 0, macs, 12))
		return TC_ACT_SHOT;
	__builtin_memcpy(macs + 12, macs, 6);
	bpf_skb_store_bytes(skb, 0, macs + 6, 12, 0);
	return bpf_redirect(skb->ifindex, 0);
}

/* too_big4 makes of a packet the error that it is too big (RFC 1191), said by whom it was sent to. */
__noinline int too_big4(struct __sk_buff *skb, __u32 mtu, __u32 tcp)
{
	__u8 first;
	__u32 zero = 0, n = sizeof(struct iphdr) + (tcp ? 20 : 8);
	struct draft *d = bpf_map_lookup_elem(&drafts, &zero);

	if (!d || bpf_skb_load_bytes(skb, L3, &first, 1) || (first & 15) != 5)
		return drop(DROP_TOO_BIG);
	if (bpf_skb_change_tail(skb, L3 + n, 0) || bpf_skb_adjust_room(skb, sizeof(d->v4), BPF_ADJ_ROOM_MAC, 0))
		return drop(DROP_TOO_BIG);
	__builtin_memset(d, 0, sizeof(*d));
	if (bpf_skb_load_bytes(skb, L3 + sizeof(d->v4) + 16, &d->v4.ip.saddr, 4) ||
	    bpf_skb_load_bytes(skb, L3 + sizeof(d->v4) + 12, &d->v4.ip.daddr, 4))
		return drop(DROP_TOO_BIG);
	if (tcp ? bpf_skb_load_bytes(skb, L3 + sizeof(d->v4), d->quoted, QUOTED4)
		: bpf_skb_load_bytes(skb, L3 + sizeof(d->v4), d->quoted, 28))
		return drop(DROP_TOO_BIG);
	d->v4.ip.version = 4;
	d->v4.ip.ihl = 5;
	d->v4.ip.tot_len = bpf_htons(sizeof(d->v4) + n);
	d->v4.ip.ttl = 64;
	d->v4.ip.protocol = IPPROTO_ICMP;
	d->v4.ip.check = fold_csum(bpf_csum_diff(0, 0, (__be32 *)&d->v4.ip, sizeof(d->v4.ip), 0));
	d->v4.icmp.type = ICMP_DEST_UNREACH;
	d->v4.icmp.code = ICMP_FRAG_NEEDED;
	d->v4.icmp.mtu = bpf_htonl(mtu);
	__s64 sum = bpf_csum_diff(0, 0, (__be32 *)&d->v4.icmp, sizeof(d->v4.icmp), 0);

	d->v4.icmp.checksum = fold_csum(bpf_csum_diff(0, 0, (__be32 *)d->quoted, QUOTED4, sum));
	bpf_skb_store_bytes(skb, L3, &d->v4, sizeof(d->v4), 0);
	count_drop(DROP_TOO_BIG);
	return return_to_sender(skb);
}

/* too_big6 is the same for IPv6 (RFC 8201). */
__noinline int too_big6(struct __sk_buff *skb, __u32 mtu, __u32 tcp)
{
	__u32 zero = 0, n = sizeof(struct ipv6hdr) + (tcp ? 20 : 8);
	struct draft *d = bpf_map_lookup_elem(&drafts, &zero);

	if (!d || bpf_skb_change_tail(skb, L3 + n, 0) || bpf_skb_adjust_room(skb, sizeof(d->v6), BPF_ADJ_ROOM_MAC, 0))
		return drop(DROP_TOO_BIG);
	__builtin_memset(d, 0, sizeof(*d));
	if (bpf_skb_load_bytes(skb, L3 + sizeof(d->v6) + 24, &d->pseudo.from, 16) ||
	    bpf_skb_load_bytes(skb, L3 + sizeof(d->v6) + 8, &d->pseudo.to, 16))
		return drop(DROP_TOO_BIG);
	if (tcp ? bpf_skb_load_bytes(skb, L3 + sizeof(d->v6), d->quoted, QUOTED6)
		: bpf_skb_load_bytes(skb, L3 + sizeof(d->v6), d->quoted, 48))
		return drop(DROP_TOO_BIG);
	d->v6.ip.version = 6;
	d->v6.ip.payload_len = bpf_htons(sizeof(d->v6.icmp) + n);
	d->v6.ip.nexthdr = IPPROTO_ICMPV6;
	d->v6.ip.hop_limit = 64;
	d->v6.ip.saddr = d->pseudo.from;
	d->v6.ip.daddr = d->pseudo.to;
	d->pseudo.length = bpf_htonl(sizeof(d->v6.icmp) + n);
	d->pseudo.next = bpf_htonl(IPPROTO_ICMPV6);
	d->v6.icmp.type = ICMPV6_PKT_TOOBIG;
	d->v6.icmp.mtu = bpf_htonl(mtu);
	__s64 sum = bpf_csum_diff(0, 0, (__be32 *)&d->pseudo, sizeof(d->pseudo), 0);

	sum = bpf_csum_diff(0, 0, (__be32 *)&d->v6.icmp, sizeof(d->v6.icmp), sum);
	d->v6.icmp.checksum = fold_csum(bpf_csum_diff(0, 0, (__be32 *)d->quoted, QUOTED6, sum));
	bpf_skb_store_bytes(skb, L3, &d->v6, sizeof(d->v6), 0);
	count_drop(DROP_TOO_BIG);
	return return_to_sender(skb);
}

/* too_big tells whoever sent a packet that it is too big for the way on. */
static __always_inline int too_big(struct __sk_buff *skb, struct packet *p, __u32 mtu)
{
	if (p->fragment || !p->l4)
		return drop(DROP_TOO_BIG);
	if (p->v6)
		return too_big6(skb, mtu < 1280 ? 1280 : mtu, p->flow.protocol == IPPROTO_TCP);
	return too_big4(skb, mtu, p->flow.protocol == IPPROTO_TCP);
}

/* concerned says about which packet an error is: what it quotes, turned round, so that it is the flow of who answers. */
struct concerned {
	struct flow flow;
	struct address sender; /* of the error */
	__u32 quote;   /* where the quoted IP header begins */
	__u32 ports;   /* where its ports are */
	__u32 csum;    /* where the error's checksum is */
	__u8 v6;
};

static __always_inline int concerns4(struct __sk_buff *skb, struct concerned *c)
{
	struct iphdr outer, ip;
	__u8 type;
	__be16 both[2];

	if (bpf_skb_load_bytes(skb, L3, &outer, sizeof(outer)) || outer.protocol != IPPROTO_ICMP || outer.version != 4 || outer.ihl != 5 ||
	    outer.frag_off & bpf_htons(IP_MF | IP_OFFSET))
		return 0;
	if (bpf_skb_load_bytes(skb, L3 + 20, &type, 1) || (type != ICMP_DEST_UNREACH && type != ICMP_TIME_EXCEEDED && type != ICMP_PARAMETERPROB))
		return 0;
	c->quote = L3 + 28;
	c->ports = c->quote + 20;
	c->csum = L3 + 22;
	if (bpf_skb_load_bytes(skb, c->quote, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl != 5 || ip.frag_off & bpf_htons(IP_OFFSET) ||
	    bpf_skb_load_bytes(skb, c->ports, both, sizeof(both)))
		return 0;
	if (outer.daddr != ip.saddr)
		return 0; /* it is not sent to whom it is about */
	map4(&c->sender, outer.saddr);
	map4(&c->flow.from, ip.daddr);
	map4(&c->flow.to, ip.saddr);
	c->flow.from_port = both[1];
	c->flow.to_port = both[0];
	c->flow.protocol = ip.protocol;
	return ip.protocol == IPPROTO_TCP || ip.protocol == IPPROTO_UDP;
}

static __always_inline int concerns6(struct __sk_buff *skb, struct concerned *c)
{
	struct ipv6hdr outer, ip;
	__u8 type;
	__be16 both[2];

	if (skb->protocol != bpf_htons(ETH_P_IPV6) || bpf_skb_load_bytes(skb, L3, &outer, sizeof(outer)) || outer.version != 6 || outer.nexthdr != IPPROTO_ICMPV6)
		return 0;
	if (bpf_skb_load_bytes(skb, L3 + 40, &type, 1) || type < 1 || type > 4)
		return 0;
	c->v6 = 1;
	c->quote = L3 + 48;
	c->ports = c->quote + 40;
	c->csum = L3 + 42;
	if (bpf_skb_load_bytes(skb, c->quote, &ip, sizeof(ip)) || ip.version != 6 || bpf_skb_load_bytes(skb, c->ports, both, sizeof(both)))
		return 0;
	for (int i = 0; i < 4; i++)
		if (outer.daddr.in6_u.u6_addr32[i] != ip.saddr.in6_u.u6_addr32[i])
			return 0;
	__builtin_memcpy(&c->sender, &outer.saddr, 16);
	__builtin_memcpy(&c->flow.from, &ip.daddr, 16);
	__builtin_memcpy(&c->flow.to, &ip.saddr, 16);
	c->flow.from_port = both[1];
	c->flow.to_port = both[0];
	c->flow.protocol = ip.nexthdr;
	return !mapped(&c->flow) && (ip.nexthdr == IPPROTO_TCP || ip.nexthdr == IPPROTO_UDP);
}

/* requote changes one end of the packet that is quoted: where it was sent to, or who had sent it. */
static __always_inline void requote(struct __sk_buff *skb, struct concerned *c, int sender, struct address *to, __be16 port)
{
	struct address *was = sender ? &c->flow.to : &c->flow.from;
	__be16 was_port = sender ? c->flow.to_port : c->flow.from_port;

	bpf_l4_csum_replace(skb, c->csum, was_port, port, 2);
	bpf_skb_store_bytes(skb, c->ports + (sender ? 0 : 2), &port, 2, 0);
	if (c->v6) {
		bpf_l4_csum_replace(skb, c->csum, 0, bpf_csum_diff((__be32 *)was, 16, (__be32 *)to, 16, 0), 0);
		bpf_skb_store_bytes(skb, c->quote + (sender ? 8 : 24), to, 16, 0);
		return;
	}
	__be32 a, b;

	__builtin_memcpy(&a, was->bytes + 12, 4);
	__builtin_memcpy(&b, to->bytes + 12, 4);
	/* The error's checksum stays: the quoted header's own makes up for the address. */
	bpf_l3_csum_replace(skb, c->quote + 10, a, b, 4);
	bpf_skb_store_bytes(skb, c->quote + (sender ? 12 : 16), &b, 4, 0);
}

/* readdress changes one end of an error itself: whom it is sent to, or who has sent it. */
static __always_inline void readdress(struct __sk_buff *skb, struct concerned *c, int sender, struct address *was, struct address *to)
{
	if (c->v6) {
		bpf_l4_csum_replace(skb, c->csum, 0, bpf_csum_diff((__be32 *)was, 16, (__be32 *)to, 16, 0), BPF_F_PSEUDO_HDR);
		bpf_skb_store_bytes(skb, L3 + (sender ? 8 : 24), to, 16, 0);
		return;
	}
	__be32 a, b;

	__builtin_memcpy(&a, was->bytes + 12, 4);
	__builtin_memcpy(&b, to->bytes + 12, 4);
	bpf_l3_csum_replace(skb, L3 + 10, a, b, 4);
	bpf_skb_store_bytes(skb, L3 + (sender ? 12 : 16), &b, 4, 0);
}

#endif
