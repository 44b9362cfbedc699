// Package service is the table of virtual services: which real servers each has, in which state, and who is next.
//
// A [Service] is the live object that belongs to a config.Virtual, its Spec. It is told of the results of health checks
// and of new Specs, and a [Dataplane], which this package does not import, asks it for a real server for each
// connection. What a health check does to the table is what ldirectord does to the table of IPVS: a failed server goes
// to weight 0 (quiescent) or out of the table, and the fallback server stands in while no real server is alive.
//
// The table's order is that of IPVS's lists: whatever is added goes to the head. So the real servers of a fresh service
// stand in the reverse order of the file, and rr begins with the file's last.
package service
