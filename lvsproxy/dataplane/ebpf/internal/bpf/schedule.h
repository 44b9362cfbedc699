/* Which server a new connection gets. */
#ifndef LVSPROXY_SCHEDULE_H
#define LVSPROXY_SCHEDULE_H

#include "packet.h"

/* usable reports whether a server may get a new connection. */
static __always_inline int usable(__u32 id)
{
	struct server *s = bpf_map_lookup_elem(&servers, &id);

	if (!s || !s->weight)
		return 0;
	if (!s->upper)
		return 1;
	struct load *l = bpf_map_lookup_elem(&loads, &id);

	return l && !l->overloaded;
}

struct search {
	void *slots;
	__u32 n;      /* slots */
	__u32 at;     /* where to look next, or the hash */
	__u32 hash;
	__u32 scheduler;
	__u32 found;  /* server */
	__s64 least;  /* load of found */
	__u32 weight; /* of found */
	__u32 key;    /* what the hash is of */
};

static long try_next(__u32 i, struct search *s)
{
	__u32 at = 2 + (s->at + i) % (s->n ?: 1);
	__u32 *id = bpf_map_lookup_elem(s->slots, &at);

	if (id && usable(*id)) {
		s->found = *id;
		return 1;
	}
	return 0;
}

/* halfsiphash is the kernel's hsiphash of one word on machines of 64 bits, both halves of whose key are the same. */
#define ROTATE(v, n) ((v) << (n) | (v) >> (64 - (n)))
#define ROUND                                                                  \
	v0 += v1; v1 = ROTATE(v1, 13) ^ v0; v0 = ROTATE(v0, 32);               \
	v2 += v3; v3 = ROTATE(v3, 16) ^ v2;                                    \
	v0 += v3; v3 = ROTATE(v3, 21) ^ v0;                                    \
	v2 += v1; v1 = ROTATE(v1, 17) ^ v2; v2 = ROTATE(v2, 32);

static __always_inline __u32 halfsiphash(__u32 word)
{
	const __u64 key = 2654435761U;
	__u64 v0 = key ^ 0x736f6d6570736575ULL, v1 = key ^ 0x646f72616e646f6dULL;
	__u64 v2 = key ^ 0x6c7967656e657261ULL, v3 = key ^ 0x7465646279746573ULL;
	__u64 last = 4ULL << 56 | word;

	v3 ^= last;
	ROUND
	v0 ^= last;
	v2 ^= 0xff;
	ROUND ROUND ROUND
	return v0 ^ v1 ^ v2 ^ v3;
}

static __always_inline __u32 fold(struct address *a, __u8 v6)
{
	__u32 w[4];

	__builtin_memcpy(w, a, 16);
	if (!v6)
		return bpf_ntohl(w[3]);
	return bpf_ntohl(w[0]) ^ bpf_ntohl(w[1]) ^ bpf_ntohl(w[2]) ^ bpf_ntohl(w[3]);
}

static __always_inline __u32 hash_of(struct search *s, __u32 offset)
{
	if (s->scheduler == SCHEDULER_SH)
		return (s->key * 0x61C88647U) >> 24;
	return halfsiphash(s->key + offset) % (s->n ?: 1);
}

/* try_hash looks further as ip_vs_sh.c and ip_vs_mh.c do. */
static long try_hash(__u32 offset, struct search *s)
{
	__u32 further = (offset + s->hash) % (s->n ?: 1);
	__u32 at;

	if (s->scheduler == SCHEDULER_SH)
		at = 2 + (further + s->hash) % (s->n ?: 1);
	else
		at = 2 + hash_of(s, further);
	__u32 *id = bpf_map_lookup_elem(s->slots, &at);

	if (id && usable(*id)) {
		s->found = *id;
		return 1;
	}
	return 0;
}

/* try_less compares a server with the best one so far, by the formulas of ip_vs_lc.c, ip_vs_wlc.c, ip_vs_sed.c, ip_vs_nq.c. */
static long try_less(__u32 i, struct search *s)
{
	__u32 at = 2 + i;
	__u32 *id = bpf_map_lookup_elem(s->slots, &at);

	if (!id)
		return 1;
	__u32 key = *id;
	struct server *server = bpf_map_lookup_elem(&servers, &key);
	struct load *l = bpf_map_lookup_elem(&loads, &key);

	if (!server || !l || !server->weight || (server->upper && l->overloaded))
		return 0;
	__s64 active = l->active, cost;

	if (s->scheduler == SCHEDULER_NQ && active <= 0) {
		s->found = key;
		return 1;
	}
	if (s->scheduler == SCHEDULER_SED || s->scheduler == SCHEDULER_NQ)
		cost = active + 1;
	else
		cost = active * 256 + l->inactive;
	__u32 weight = s->scheduler == SCHEDULER_LC ? 1 : server->weight;

	if (!s->found || s->least * weight > cost * s->weight) {
		s->found = key;
		s->least = cost;
		s->weight = weight;
	}
	return 0;
}

/* pick returns a server's number, or 0. */
__noinline int pick(struct service *service, struct packet *p)
{
	if (!service || !p)
		return 0;
	__u32 id = service->id, zero = 0, one = 1;
	/* Before Linux 6.7 the verifier looks at one round of a loop only. If it knew what the search begins with, it would take what
	 * is for later rounds for dead, and remove it. */
	struct search s = {.scheduler = service->scheduler, .found = service->zero, .least = service->zero, .weight = service->zero};

	s.slots = bpf_map_lookup_elem(&slots, &id);
	if (!s.slots)
		return 0;
	__u32 *n = bpf_map_lookup_elem(s.slots, &zero), *cursor = bpf_map_lookup_elem(s.slots, &one);

	if (!n || !cursor || !*n)
		return 0;
	s.n = *n;
	switch (s.scheduler) {
	case SCHEDULER_CYCLE:
		s.at = __sync_fetch_and_add(cursor, 1) % s.n;
		bpf_loop(s.n, try_next, &s, 0);
		return s.found;
	case SCHEDULER_SH:
	case SCHEDULER_MH:
		s.key = fold(&p->flow.from, p->v6) + (service->flags & SERVICE_PORT ? bpf_ntohs(p->flow.from_port) : 0);
		s.hash = hash_of(&s, 0);
		s.at = 2 + s.hash;
		__u32 *first = bpf_map_lookup_elem(s.slots, &s.at);

		if (first && usable(*first))
			return *first;
		if (service->flags & SERVICE_FALLBACK)
			bpf_loop(s.n, try_hash, &s, 0);
		return s.found;
	default:
		bpf_loop(s.n, try_less, &s, 0);
		return s.found;
	}
}

#endif
