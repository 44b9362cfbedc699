/* The states of a connection. */
#ifndef LVSPROXY_STATE_H
#define LVSPROXY_STATE_H

#include "packet.h"

#define NO STATE_NONE
#define ES STATE_ESTABLISHED
#define SS STATE_SYN_SENT
#define SR STATE_SYN_RECV
#define FW STATE_FIN_WAIT
#define TW STATE_TIME_WAIT
#define CL STATE_CLOSE
#define CW STATE_CLOSE_WAIT
#define LA STATE_LAST_ACK
#define LI STATE_LISTEN
#define SA STATE_SYNACK

enum direction {
	FROM_CLIENT,
	FROM_SERVER,
	FROM_CLIENT_ONLY, /* what the server says goes another way */
	DIRECTIONS,
};

/* What follows a state, by direction and what a segment says: SYN, FIN, ACK or RST (tcp_states of ip_vs_proto_tcp.c). */
static const __u8 next_state[DIRECTIONS][4][STATES] = {
	[FROM_CLIENT] = {
		/*       NO  ES  SS  SR  FW  TW  CL  CW  LA  LI  SA */
		{SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR},
		{CL, CW, SS, TW, TW, TW, CL, CW, LA, LI, TW},
		{ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES},
		{CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, SR},
	},
	[FROM_SERVER] = {
		{SS, ES, SS, SR, SS, SS, SS, SS, SS, LI, SR},
		{TW, FW, SS, TW, FW, TW, CL, TW, LA, LI, TW},
		{ES, ES, SS, ES, FW, TW, CL, CW, LA, ES, ES},
		{CL, CL, SS, CL, CL, TW, CL, CL, CL, CL, CL},
	},
	[FROM_CLIENT_ONLY] = {
		{SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR},
		{CL, FW, SS, TW, FW, TW, CL, CW, LA, LI, TW},
		{ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES},
		{CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL},
	},
};

static __always_inline int segment(__u8 flags)
{
	if (flags & FLAG_RST)
		return 3;
	if (flags & FLAG_SYN)
		return 0;
	if (flags & FLAG_FIN)
		return 1;
	if (flags & FLAG_ACK)
		return 2;
	return -1;
}

/* active reports whether a connection in a state counts as active (tcp_state_active_table); UDP's never do. */
static __always_inline int active(__u8 state)
{
	return state == STATE_ESTABLISHED || state == STATE_SYN_SENT || state == STATE_SYN_RECV || state == STATE_SYNACK;
}

static __always_inline void began(__u32 server, __u8 state)
{
	struct load *l = bpf_map_lookup_elem(&loads, &server);
	struct server *s = bpf_map_lookup_elem(&servers, &server);

	if (!l || !s)
		return;
	if (active(state))
		__sync_fetch_and_add(&l->active, 1);
	else
		__sync_fetch_and_add(&l->inactive, 1);
	if (s->upper && l->active + l->inactive >= s->upper)
		l->overloaded = 1;
}

static __always_inline void ended(__u32 server, __u8 state)
{
	struct load *l = bpf_map_lookup_elem(&loads, &server);
	struct server *s = bpf_map_lookup_elem(&servers, &server);

	if (!l || !s)
		return;
	if (active(state))
		__sync_fetch_and_add(&l->active, -1);
	else
		__sync_fetch_and_add(&l->inactive, -1);
	__s64 total = l->active + l->inactive;

	if (s->lower ? total < s->lower : total * 4 < (__s64)s->upper * 3)
		l->overloaded = 0;
}

/* step has a connection follow a packet. */
__noinline int step(struct conn *c, struct packet *p, __u32 direction)
{
	if (!c || !p || direction >= DIRECTIONS)
		return 0;
	__u32 zero = 0;
	struct tuning *all = bpf_map_lookup_elem(&settings, &zero);
	int s = segment(p->flags);
	__u32 was = c->state, now = was;

	if (!all)
		return 0;
	if (p->flow.protocol == IPPROTO_TCP && p->l4 && s >= 0 && was < STATE_UDP)
		now = next_state[direction][s & 3][was];
	if (now != was) {
		c->state = now;
		if (active(now) != active(was)) {
			__u32 server = c->server;
			struct load *l = bpf_map_lookup_elem(&loads, &server);
			int up = active(now) ? 1 : -1;

			if (l) {
				__sync_fetch_and_add(&l->active, up);
				__sync_fetch_and_add(&l->inactive, -up);
			}
		}
	}
	if (now < STATES)
		c->expires = bpf_ktime_get_coarse_ns() + all->timeouts[now];
	return 0;
}

#endif
