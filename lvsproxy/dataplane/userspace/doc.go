// Package userspace carries TCP and UDP between clients and real servers in this process, without privileges: it takes
// what comes in at the VIP, goes on to the real server that the virtual service picks, and moves the bytes in both
// directions until both have ended.
//
// # How it works
//
// There is an event loop for each core, and no goroutine for a connection: a [Dataplane] has loops, a loop has connections
// (conn) with two sockets (end) and two directions (way), and nobody else touches them. Sockets are registered once, for
// edges; what epoll said last is noted in the end, and each way moves what it can whenever something was said. A message
// is read into the loop's buffer and written at once, so that a connection on which nothing moves has no buffer. Bulk goes
// through a pipe (splice), which is borrowed while bytes are in it.
//
// Datagrams go in batches. A client's flow has a socket connected to its server.
//
// # Caveats
//
// The real server sees the director's address, not the client's, unless it is told by the PROXY protocol. Of the
// forwarding methods only masq can be done so; gate and ipip need a dataplane that sends packets. To an address of the
// loopback, gate is the same as masq.
package userspace
