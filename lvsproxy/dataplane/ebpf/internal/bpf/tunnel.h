/* Tunnels: IP in IP (RFC 2003), IPv6 in IPv6 (RFC 2473). */
#ifndef LVSPROXY_TUNNEL_H
#define LVSPROXY_TUNNEL_H

#include "packet.h"

static __always_inline __u32 outer_bytes(struct packet *p)
{
	return p->v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
}

/* differ is what the source of a connection's outer header has of its own. */
static __always_inline __u32 differ(struct packet *p)
{
	__u32 w[4];

	__builtin_memcpy(w, &p->flow.from, 16);
	return (w[0] ^ w[1] ^ w[2] ^ w[3] ^ (__u32)p->flow.from_port << 16 ^ p->flow.to_port) * 0x61C88647U;
}

static __always_inline __be32 vary(__be32 address, __u32 bits, struct packet *p)
{
	return (address & ~bpf_htonl(bits)) | (bpf_htonl(differ(p) >> 8) & bpf_htonl(bits));
}

/* encapsulate puts an outer header before a packet. It returns false if that is not possible. */
__noinline int encapsulate(struct __sk_buff *skb, struct packet *p, struct conn *c)
{
	__u32 zero = 0;
	__u16 class;
	struct tuning *all = bpf_map_lookup_elem(&settings, &zero);

	if (!all || !p || !c || bpf_skb_load_bytes(skb, L3, &class, sizeof(class)))
		return 0;
	if (p->v6) {
		struct ipv6hdr ip = {.nexthdr = IPPROTO_IPV6, .hop_limit = 64, .payload_len = bpf_htons(p->bytes)};

		if (bpf_skb_adjust_room(skb, sizeof(ip), BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV6))
			return 0;
		__builtin_memcpy(&ip, &class, sizeof(class)); /* version and class are the inner one's */
		__builtin_memcpy(&ip.saddr, &all->outer6, 16);
		__builtin_memcpy(&ip.daddr, &c->rip, 16);
		ip.saddr.in6_u.u6_addr32[3] = vary(ip.saddr.in6_u.u6_addr32[3], all->vary6, p);
		return !bpf_skb_store_bytes(skb, L3, &ip, sizeof(ip), 0);
	}
	struct iphdr ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_IPIP, .tot_len = bpf_htons(p->bytes + sizeof(ip))};

	if (bpf_skb_adjust_room(skb, sizeof(ip), BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4))
		return 0;
	ip.tos = bpf_ntohs(class) & 0xff;
	if (p->whole)
		ip.frag_off = bpf_htons(0x4000);
	__builtin_memcpy(&ip.saddr, all->outer.bytes + 12, 4);
	__builtin_memcpy(&ip.daddr, c->rip.bytes + 12, 4);
	ip.saddr = vary(ip.saddr, all->vary, p);
	ip.check = fold_csum(bpf_csum_diff(0, 0, (__be32 *)&ip, sizeof(ip), 0));
	return !bpf_skb_store_bytes(skb, L3, &ip, sizeof(ip), 0);
}

/* endpoints: the VIPs whose packets are taken out of tunnels, on a real server. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 12);
	__type(key, struct address);
	__type(value, __u32);
} endpoints SEC(".maps");

/* decapsulate takes the outer header from what is in a tunnel and for a VIP, on a real server whose kernel has no tunnels. */
SEC("tc")
int decapsulate(struct __sk_buff *skb)
{
	struct address to = {};

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		struct iphdr outer, inner;

		if (bpf_skb_load_bytes(skb, L3, &outer, sizeof(outer)) || outer.protocol != IPPROTO_IPIP || outer.ihl != 5 ||
		    outer.frag_off & bpf_htons(IP_MF | IP_OFFSET) || bpf_skb_load_bytes(skb, L3 + sizeof(outer), &inner, sizeof(inner)))
			return TC_ACT_UNSPEC;
		map4(&to, inner.daddr);
		if (bpf_map_lookup_elem(&endpoints, &to))
			bpf_skb_adjust_room(skb, -(__s32)sizeof(outer), BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO);
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr outer, inner;

		if (bpf_skb_load_bytes(skb, L3, &outer, sizeof(outer)) || outer.nexthdr != IPPROTO_IPV6 ||
		    bpf_skb_load_bytes(skb, L3 + sizeof(outer), &inner, sizeof(inner)))
			return TC_ACT_UNSPEC;
		__builtin_memcpy(&to, &inner.daddr, 16);
		if (bpf_map_lookup_elem(&endpoints, &to))
			bpf_skb_adjust_room(skb, -(__s32)sizeof(outer), BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO);
	}
	return TC_ACT_UNSPEC;
}

#endif
