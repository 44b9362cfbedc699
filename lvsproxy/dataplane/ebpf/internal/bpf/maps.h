/* The maps. All are pinned by their names; the director sets the sizes of those that grow with what is carried. */
#ifndef LVSPROXY_MAPS_H
#define LVSPROXY_MAPS_H

#include "types.h"

/* services: which virtual services there are. One that is here and has no slots has its new connections dropped. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 16);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct service_key);
	__type(value, struct service);
} services SEC(".maps");

/* virtual_ports: a bit for each port, set if a service has it, or had it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536 / 64);
	__type(key, __u32);
	__type(value, __u64);
} virtual_ports SEC(".maps");

/* slots: by a service's number, what its scheduler picks from: element 0 is how many slots there are, element 1 how many
 * picks were made, and the slots follow, each a server's number. A change of the table puts another array in the place. */
struct slots {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__uint(map_flags, BPF_F_INNER_MAP);
	__type(key, __u32);
	__type(value, __u32);
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 1 << 16);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__array(values, struct slots);
} slots SEC(".maps");

/* servers: by number, where each is and what it may get. One that was removed stays until its connections have ended. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << 17);
	__type(key, __u32);
	__type(value, struct server);
} servers SEC(".maps");

/* loads: by a server's number, what it has now. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << 17);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct load);
} loads SEC(".maps");

/* tallies: by a server's number, what it was sent and has sent. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1 << 17);
	__type(key, __u32);
	__type(value, struct counts);
} tallies SEC(".maps");

/* conns: the connections, by what the client sends. Where there is no room, the one that was silent for longest goes. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1 << 16);
	__type(key, struct flow);
	__type(value, struct conn);
} conns SEC(".maps");

/* replies: by what real servers send, the client's direction of the same connection (masq only). */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1 << 16);
	__type(key, struct flow);
	__type(value, struct flow);
} replies SEC(".maps");

/* halves, half_replies: the same for connections of TCP of which the client has sent nothing but a SYN. A flood of those
 * makes room for itself here, and not among the others. One whose server is 0 was moved to conns. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1 << 16);
	__type(key, struct flow);
	__type(value, struct conn);
} halves SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1 << 16);
	__type(key, struct flow);
	__type(value, struct flow);
} half_replies SEC(".maps");

/* templates: whom persistence remembers. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1 << 16);
	__type(key, struct template_key);
	__type(value, struct template);
} templates SEC(".maps");

/* fragments: the ports of datagrams that come in pieces. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1 << 14);
	__type(key, struct fragment_key);
	__type(value, struct fragment);
} fragments SEC(".maps");

/* shortcuts: the interfaces, by index, whose packets may be given to the other end as if they had arrived there. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 12);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u8);
} shortcuts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tuning);
} settings SEC(".maps");

/* drops: packets that went no further, by enum drop. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DROPS);
	__type(key, __u32);
	__type(value, __u64);
} drops SEC(".maps");

#endif
