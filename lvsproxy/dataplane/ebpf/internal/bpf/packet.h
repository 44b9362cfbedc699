/* Packets: what they say, and how that is changed. */
#ifndef LVSPROXY_PACKET_H
#define LVSPROXY_PACKET_H

#include "maps.h"

#define L3 ETH_HLEN
#define IP_MF 0x2000
#define IP_OFFSET 0x1fff
#define FLAG_FIN 1
#define FLAG_SYN 2
#define FLAG_RST 4
#define FLAG_ACK 16

struct packet {
	struct flow flow;
	__u32 l4;        /* where its header begins; 0 for a fragment that has none */
	__u32 bytes;     /* of the IP packet */
	__u8 v6;
	__u8 flags;      /* of TCP */
	__u8 ttl;
	__u8 fragment;   /* it is a piece, the first one or a later one */
	__u8 whole;      /* it must not be cut into pieces */
	__u8 zero[3];
};

enum verdict {
	TAKEN,   /* it is TCP or UDP, and understood */
	NOTHING, /* it is something else */
	MALFORMED,
	UNKNOWN_FRAGMENT, /* a later piece of something that has not begun */
};

static __always_inline void count_drop(__u32 reason)
{
	__u64 *n = bpf_map_lookup_elem(&drops, &reason);

	if (n)
		(*n)++;
}

static __always_inline int drop(__u32 reason)
{
	count_drop(reason);
	return TC_ACT_SHOT;
}

static __always_inline void map4(struct address *a, __be32 from)
{
	__builtin_memset(a->bytes, 0, 10);
	a->bytes[10] = a->bytes[11] = 0xff;
	__builtin_memcpy(a->bytes + 12, &from, 4);
}

/* mapped tells whether a flow of IPv6 has an address that stands for one of IPv4 in the tables. On a wire, such an address means
 * nothing (RFC 6890). */
static __always_inline int mapped(struct flow *f)
{
	__u32 *from = (__u32 *)f->from.bytes, *to = (__u32 *)f->to.bytes;

	return (!from[0] && !from[1] && from[2] == bpf_htonl(0xffff)) || (!to[0] && !to[1] && to[2] == bpf_htonl(0xffff));
}

/* ports reads those of a datagram, or remembers them from its first piece. */
static __always_inline int ports(struct __sk_buff *skb, struct packet *p, __be32 id, int first)
{
	struct fragment_key key = {.id = id, .protocol = p->flow.protocol};
	__be16 both[2];

	if (p->fragment) {
		key.from = p->flow.from;
		key.to = p->flow.to;
	}
	if (first) {
		if (bpf_skb_load_bytes(skb, p->l4, both, sizeof(both)))
			return MALFORMED;
		p->flow.from_port = both[0];
		p->flow.to_port = both[1];
		if (p->fragment) {
			struct fragment f = {both[0], both[1]};

			bpf_map_update_elem(&fragments, &key, &f, BPF_ANY);
		}
		if (p->flow.protocol == IPPROTO_TCP && bpf_skb_load_bytes(skb, p->l4 + 13, &p->flags, 1))
			return MALFORMED;
		if (p->flow.protocol == IPPROTO_UDP && bpf_skb_load_bytes(skb, p->l4 + 7, &p->flags, 1))
			return MALFORMED; /* not even a header's length */
		return TAKEN;
	}
	p->l4 = 0;
	struct fragment *f = bpf_map_lookup_elem(&fragments, &key);

	if (!f)
		return UNKNOWN_FRAGMENT;
	p->flow.from_port = f->from_port;
	p->flow.to_port = f->to_port;
	return TAKEN;
}

/* length notes how long an IP packet is: short frames are padded, and what stands for many packets says what it likes. */
static __always_inline int length(struct __sk_buff *skb, struct packet *p, __u32 said)
{
	p->bytes = skb->len - L3;
	if (skb->gso_size)
		return 1;
	if (said > p->bytes)
		return 0;
	p->bytes = said;
	return 1;
}

static __always_inline int parse4(struct __sk_buff *skb, struct packet *p)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, L3, &ip, sizeof(ip)))
		return MALFORMED;
	if (ip.protocol != IPPROTO_TCP && ip.protocol != IPPROTO_UDP)
		return NOTHING;
	if (ip.version != 4 || ip.ihl < 5)
		return MALFORMED;
	map4(&p->flow.from, ip.saddr);
	map4(&p->flow.to, ip.daddr);
	p->flow.protocol = ip.protocol;
	p->ttl = ip.ttl;
	p->l4 = L3 + ip.ihl * 4;
	if (!length(skb, p, bpf_ntohs(ip.tot_len)))
		return MALFORMED;
	p->whole = !!(ip.frag_off & bpf_htons(0x4000));
	p->fragment = !!(ip.frag_off & bpf_htons(IP_MF | IP_OFFSET));
	return ports(skb, p, ip.id, !(ip.frag_off & bpf_htons(IP_OFFSET)));
}

struct fragment_header {
	__u8 next;
	__u8 reserved;
	__be16 offset; /* in 8 bytes, with 3 bits of flags below */
	__be32 id;
};

static __always_inline int parse6(struct __sk_buff *skb, struct packet *p)
{
	struct ipv6hdr ip;
	struct fragment_header f = {};

	if (bpf_skb_load_bytes(skb, L3, &ip, sizeof(ip)))
		return MALFORMED;
	p->l4 = L3 + sizeof(ip);
	if (ip.nexthdr == IPPROTO_FRAGMENT) {
		if (bpf_skb_load_bytes(skb, p->l4, &f, sizeof(f)))
			return MALFORMED;
		ip.nexthdr = f.next;
		p->l4 += sizeof(f);
		p->fragment = 1;
	}
	if (ip.nexthdr != IPPROTO_TCP && ip.nexthdr != IPPROTO_UDP)
		return NOTHING;
	if (ip.version != 6)
		return MALFORMED;
	__builtin_memcpy(&p->flow.from, &ip.saddr, 16);
	__builtin_memcpy(&p->flow.to, &ip.daddr, 16);
	if (mapped(&p->flow))
		return NOTHING;
	p->flow.protocol = ip.nexthdr;
	p->ttl = ip.hop_limit;
	if (!length(skb, p, bpf_ntohs(ip.payload_len) + sizeof(ip)))
		return MALFORMED;
	p->v6 = p->whole = 1;
	return ports(skb, p, f.id, !(f.offset & bpf_htons(0xfff8)));
}

/* parse has a frame of its own on the stack, which is gone when the packet goes on: see stack_test.go. */
static __noinline int parse(struct __sk_buff *skb, struct packet *p)
{
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return parse4(skb, p);
	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return parse6(skb, p);
	return NOTHING;
}

static __always_inline __u16 fold_csum(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* linear returns the first bytes of a frame, which may be changed until the next call of a helper that changes it; 0 if there is no
 * memory. */
static __always_inline void *linear(struct __sk_buff *skb, __u32 bytes)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;

	if (data + bytes <= end)
		return data;
	bpf_skb_pull_data(skb, bytes);
	data = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	return data + bytes <= end ? data : 0;
}

/* readdress4 changes an address of an IPv4 header, and takes hops from what the packet may still travel. What a sum of the
 * whole packet says, if there is one, stays true: the header's own sum makes up for its other changes. Calls of helpers would be
 * half of all that a packet costs here. */
static __always_inline int readdress4(struct __sk_buff *skb, int source, __be32 was, __be32 to, __u8 hops)
{
	struct iphdr *ip = linear(skb, L3 + sizeof(*ip));

	if (!ip)
		return 0;
	ip = (void *)ip + L3;
	ip->check = fold_csum((__u16)~ip->check + (~was & 0xffff) + (~was >> 16) + (to & 0xffff) + (to >> 16) + (__u16)~bpf_htons(hops << 8));
	ip->ttl -= hops;
	if (source)
		ip->saddr = to;
	else
		ip->daddr = to;
	return 1;
}

static __always_inline int readdress6(struct __sk_buff *skb, int source, struct address *to, __u8 hops)
{
	struct ipv6hdr *ip = linear(skb, L3 + sizeof(*ip));

	if (!ip)
		return 0;
	ip = (void *)ip + L3;
	ip->hop_limit -= hops;
	__builtin_memcpy(source ? &ip->saddr : &ip->daddr, to, 16);
	return 1;
}

/* rewrite changes one end of a packet, the destination or the source, and takes hops from what it may still travel. */
static __always_inline int rewrite(struct __sk_buff *skb, struct packet *p, int source, struct address *to, __be16 to_port, __u8 hops)
{
	struct address *was = source ? &p->flow.from : &p->flow.to;
	__be16 was_port = source ? p->flow.from_port : p->flow.to_port;
	__u32 csum = p->flow.protocol == IPPROTO_TCP ? 16 : 6;
	__u64 mangled = p->flow.protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;

	if (p->v6) {
		if (!readdress6(skb, source, to, hops))
			return 0;
		if (p->l4)
			bpf_l4_csum_replace(skb, p->l4 + csum, 0, bpf_csum_diff((__be32 *)was, 16, (__be32 *)to, 16, 0), mangled | BPF_F_PSEUDO_HDR);
	} else {
		__be32 a, b;

		__builtin_memcpy(&a, was->bytes + 12, 4);
		__builtin_memcpy(&b, to->bytes + 12, 4);
		if (!readdress4(skb, source, a, b, hops))
			return 0;
		if (p->l4)
			bpf_l4_csum_replace(skb, p->l4 + csum, a, b, mangled | BPF_F_PSEUDO_HDR | 4);
	}
	if (p->l4 && was_port != to_port) {
		bpf_l4_csum_replace(skb, p->l4 + csum, was_port, to_port, mangled | 2);
		bpf_skb_store_bytes(skb, p->l4 + (source ? 0 : 2), &to_port, 2, 0);
	}
	return 1;
}

/* segment_bytes is how large the largest IP packet is that this one goes out as: with segmentation offload, one stands for many. */
static __always_inline __u32 segment_bytes(struct __sk_buff *skb, struct packet *p)
{
	__u32 header = 8;
	__u8 words;

	if (!skb->gso_size || !p->l4)
		return p->bytes;
	if (p->flow.protocol == IPPROTO_TCP) {
		if (bpf_skb_load_bytes(skb, p->l4 + 12, &words, 1))
			return p->bytes;
		header = words >> 4 << 2;
	}
	return p->l4 - L3 + header + skb->gso_size;
}

/* What way returns besides BPF_FIB_LKUP_RET_*. */
enum {
	WAY_REMEMBERED = 0x100,
	WAY_SHORTCUT, /* likewise, and the interface is one */
};

/* way finds out how a packet, with an outer header of so many bytes, gets to an address, as the machine's routes say, or said
 * within the last second. Without from, the answer is the same for whoever sent the packet. */
static __always_inline long way(struct __sk_buff *skb, struct packet *p, struct address *from, struct address *to,
				__u32 outer, struct next_hop *hop, struct bpf_fib_lookup *fib)
{
	__u32 bytes = segment_bytes(skb, p) + outer;
	__u32 now = bpf_ktime_get_coarse_ns() >> 27;

	if (hop && (__s32)(hop->until - now) > 0 && bytes <= hop->mtu) {
		fib->ifindex = hop->ifindex;
		__builtin_memcpy(fib->dmac, hop->dmac, 6);
		__builtin_memcpy(fib->smac, hop->smac, 6);
		return hop->peer ? WAY_SHORTCUT : WAY_REMEMBERED;
	}

	fib->ifindex = skb->ingress_ifindex;
	fib->l4_protocol = p->flow.protocol;
	fib->tot_len = bytes > 0xffff ? 0xffff : bytes;
	if (p->v6) {
		fib->family = AF_INET6;
		if (from)
			__builtin_memcpy(fib->ipv6_src, from, 16);
		__builtin_memcpy(fib->ipv6_dst, to, 16);
	} else {
		fib->family = AF_INET;
		if (from)
			__builtin_memcpy(&fib->ipv4_src, from->bytes + 12, 4);
		__builtin_memcpy(&fib->ipv4_dst, to->bytes + 12, 4);
	}
	long rc = bpf_fib_lookup(skb, fib, sizeof(*fib), 0);

	if (hop && rc == BPF_FIB_LKUP_RET_SUCCESS) {
		hop->ifindex = fib->ifindex;
		__builtin_memcpy(hop->dmac, fib->dmac, 6);
		__builtin_memcpy(hop->smac, fib->smac, 6);
		hop->mtu = fib->mtu_result;
		hop->peer = bpf_map_lookup_elem(&shortcuts, &fib->ifindex) != 0;
		hop->until = now + 8; /* one second */
	}
	return rc;
}

/* go sends a packet the way that was found. Where the routes were asked just now, the neighbour's entry is used as the machine
 * uses it, so that one that is stale is asked for: bpf_fib_lookup never does, and would go on with what a neighbour was once. */
static __always_inline int go(struct __sk_buff *skb, struct bpf_fib_lookup *fib, long rc)
{
	if (rc == WAY_REMEMBERED || rc == WAY_SHORTCUT || rc == BPF_FIB_LKUP_RET_SUCCESS) {
		struct ethhdr *eth = linear(skb, sizeof(*eth));

		if (!eth)
			return drop(DROP_MALFORMED);
		__builtin_memcpy(eth->h_dest, fib->dmac, 6);
		__builtin_memcpy(eth->h_source, fib->smac, 6);
		if (rc == WAY_SHORTCUT)
			return bpf_redirect_peer(fib->ifindex, 0);
		if (rc == WAY_REMEMBERED)
			return bpf_redirect(fib->ifindex, 0);
	} else if (rc != BPF_FIB_LKUP_RET_NO_NEIGH) {
		return drop(DROP_NO_ROUTE);
	}
	struct bpf_redir_neigh next = {.nh_family = fib->family};

	__builtin_memcpy(next.ipv6_nh, fib->ipv6_dst, 16);
	return bpf_redirect_neigh(fib->ifindex, &next, sizeof(next), 0);
}

#endif
