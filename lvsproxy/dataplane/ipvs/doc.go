// Package ipvs is a [service.Dataplane] that has the kernel's own IPVS carry the connections.
//
// The kernel's table is the truth: each time that a service changes, the dataplane reads what the kernel has of it and takes
// the fewest steps to what is wanted, so that a process which starts goes on with what the last one has left, and
// connections with it. Services that were not opened are never touched. So what [Dataplane.Leave] has left behind, and the
// next configuration does not name, stays until somebody removes it.
//
// IPVS has its ways:
//
//   - It drops the packets of connections whose server or service was removed from the table. So a service that is closed
//     stays, its servers at weight 0, until none of its connections is active; a server that is removed from its service,
//     as a failed one is without quiescent, does not.
//   - A client that persistence remembers may begin connections with a server of weight 0 (expire_quiescent_template).
//   - A service of every port needs persistence.
//   - The connections of a service of a firewall mark cannot be told from others; only what persistence remembers is listed.
//   - What is changed in the kernel by others stays so until the service changes.
package ipvs
