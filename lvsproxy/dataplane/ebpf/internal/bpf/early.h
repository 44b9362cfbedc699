/* The program of XDP: what needs no thought is sent on before the machine makes a packet of it. All else passes, and comes to the
 * program at TC, which also asks the routes: this one knows only what that one has remembered. */
#ifndef LVSPROXY_EARLY_H
#define LVSPROXY_EARLY_H

#include "packet.h"
#include "state.h"

/* early_interfaces: those that have this program in their drivers, by index, and the MAC address of each. Only these can be sent
 * to from here. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 12);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct mac);
} early_interfaces SEC(".maps");

/* What a frame has, where. */
struct frame {
	struct ethhdr *eth;
	__be16 *ports;
	__sum16 *csum; /* of TCP or UDP; 0 if the datagram has none */
};

/* understand tells whether a frame is of TCP or UDP, without options and in one piece. */
static __always_inline int understand(struct xdp_md *ctx, struct frame *f, struct packet *p)
{
	void *end = (void *)(long)ctx->data_end, *l4;

	f->eth = (void *)(long)ctx->data;
	if ((void *)(f->eth + 1) > end)
		return 0;
	if (f->eth->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = (void *)(f->eth + 1);

		if ((void *)(ip + 1) > end || ip->version != 4 || ip->ihl != 5 || ip->frag_off & bpf_htons(IP_MF | IP_OFFSET))
			return 0;
		l4 = ip + 1;
		map4(&p->flow.from, ip->saddr);
		map4(&p->flow.to, ip->daddr);
		p->flow.protocol = ip->protocol;
		p->ttl = ip->ttl;
		p->bytes = bpf_ntohs(ip->tot_len);
	} else if (f->eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = (void *)(f->eth + 1);

		if ((void *)(ip + 1) > end || ip->version != 6)
			return 0;
		l4 = ip + 1;
		__builtin_memcpy(&p->flow.from, &ip->saddr, 16);
		__builtin_memcpy(&p->flow.to, &ip->daddr, 16);
		if (mapped(&p->flow))
			return 0;
		p->flow.protocol = ip->nexthdr;
		p->ttl = ip->hop_limit;
		p->bytes = bpf_ntohs(ip->payload_len) + sizeof(*ip);
		p->v6 = 1;
	} else {
		return 0;
	}
	if (p->ttl <= 1 || p->bytes > ctx->data_end - ctx->data - L3)
		return 0;
	p->l4 = L3 + (p->v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));
	if (p->flow.protocol == IPPROTO_TCP) {
		__u8 *tcp = l4;

		if ((void *)(tcp + 20) > end || p->bytes < p->l4 - L3 + 20)
			return 0;
		p->flags = tcp[13];
		f->csum = (void *)(tcp + 16);
	} else if (p->flow.protocol == IPPROTO_UDP) {
		__u8 *udp = l4;

		if ((void *)(udp + 8) > end || p->bytes < p->l4 - L3 + 8)
			return 0;
		f->csum = (void *)(udp + 6);
		if (!*f->csum)
			f->csum = 0;
	} else {
		return 0;
	}
	f->ports = l4;
	p->flow.from_port = f->ports[0];
	p->flow.to_port = f->ports[1];
	return 1;
}

/* update brings a checksum up to date (RFC 1624) with what has been added to what it covers. */
static __always_inline void update(__sum16 *csum, __u32 added)
{
	__u64 sum = (__u64)(__u16)~*csum + added;

	*csum = fold_csum(sum);
}

/* translate changes one end of a packet, as the program at TC would. It never fails. */
static __always_inline int translate(struct xdp_md *ctx, struct frame *f, struct packet *p, int source, struct address *to, __be16 to_port)
{
	struct address *was = source ? &p->flow.from : &p->flow.to;
	__be16 *port = &f->ports[source ? 0 : 1];
	__u32 added = bpf_csum_diff((__be32 *)was, 16, (__be32 *)to, 16, 0); /* the prefixes of IPv4's are the same */

	if (f->csum) {
		/* Ports are summed up like addresses. A datagram's sum that comes to 0 is written the other way (RFC 768). */
		update(f->csum, added);
		update(f->csum, (__u32)(__u16)~*port + to_port);
		if (p->flow.protocol == IPPROTO_UDP && !*f->csum)
			*f->csum = 0xffff;
	}
	*port = to_port;
	/* The verifier does not know any more what has been found out about the frame. */
	void *l3 = (void *)(long)ctx->data + L3, *end = (void *)(long)ctx->data_end;

	if (p->v6) {
		struct ipv6hdr *ip = l3;

		if ((void *)(ip + 1) > end)
			return 0;
		ip->hop_limit--;
		__builtin_memcpy(source ? &ip->saddr : &ip->daddr, to, 16);
		return 1;
	}
	struct iphdr *ip = l3;

	if ((void *)(ip + 1) > end)
		return 0;
	update(&ip->check, added);
	update(&ip->check, (__u32)(__u16)~bpf_htons(p->ttl << 8) + bpf_htons((p->ttl - 1) << 8));
	ip->ttl--;
	__builtin_memcpy(source ? &ip->saddr : &ip->daddr, to->bytes + 12, 4);
	return 1;
}

/* remembers tells whether a way is known now, for so many bytes, and by an interface that can be sent to from here. */
static __always_inline int remembers(struct next_hop *hop, __u32 bytes)
{
	__u32 now = bpf_ktime_get_coarse_ns() >> 27, index = hop->ifindex;

	return (__s32)(hop->until - now) > 0 && bytes <= hop->mtu && bpf_map_lookup_elem(&early_interfaces, &index);
}

static __always_inline int leave(struct frame *f, struct next_hop *hop)
{
	__builtin_memcpy(f->eth->h_dest, hop->dmac, 6);
	__builtin_memcpy(f->eth->h_source, hop->smac, 6);
	return bpf_redirect(hop->ifindex, 0);
}

/* begins tells whether a segment asks for a connection: whether for another one than there is, is for the program at TC to say. */
static __always_inline int begins(struct packet *p)
{
	return p->flow.protocol == IPPROTO_TCP && (p->flags & (FLAG_SYN | FLAG_ACK)) == FLAG_SYN;
}

SEC("xdp")
int early(struct xdp_md *ctx)
{
	struct packet p = {};
	struct frame f = {};
	__u32 index = ctx->ingress_ifindex;
	struct mac *own = bpf_map_lookup_elem(&early_interfaces, &index);

	if (!own || !understand(ctx, &f, &p) || begins(&p))
		return XDP_PASS;
	for (int i = 0; i < 6; i++)
		if (f.eth->h_dest[i] != own->bytes[i])
			return XDP_PASS; /* another machine's */
	struct conn *c = from_client(&p) ? bpf_map_lookup_elem(&conns, &p.flow) : 0;

	if (c) {
		__u32 id = c->server;
		struct server *server = bpf_map_lookup_elem(&servers, &id);

		if (!server || expired(c) || (c->forward != FORWARD_MASQ && c->forward != FORWARD_GATE) || !remembers(&server->hop, p.bytes))
			return XDP_PASS;
		step(c, &p, c->forward == FORWARD_MASQ ? FROM_CLIENT : FROM_CLIENT_ONLY);
		carried(id, p.bytes, 0);
		if (c->forward == FORWARD_MASQ && !translate(ctx, &f, &p, 0, &c->rip, c->port))
			return XDP_DROP;
		return leave(&f, &server->hop);
	}
	struct flow *client = bpf_map_lookup_elem(&replies, &p.flow);

	if (!client)
		return XDP_PASS;
	c = bpf_map_lookup_elem(&conns, client);
	if (!c || expired(c) || !remembers(&c->to_client, p.bytes))
		return XDP_PASS;
	step(c, &p, FROM_SERVER);
	carried(c->server, p.bytes, 1);
	if (!translate(ctx, &f, &p, 1, &client->to, client->to_port))
		return XDP_DROP;
	return leave(&f, &c->to_client);
}

#endif
