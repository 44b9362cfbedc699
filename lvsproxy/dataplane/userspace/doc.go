// Package userspace carries TCP connections between clients and real servers in this process, without privileges: it
// accepts at the VIP, connects to the real server that the virtual service picks, and lets the kernel move the bytes
// (splice) in both directions until both have ended.
//
// # Caveats
//
// The real server sees the director's address, not the client's. Of the forwarding methods only masq can be done so;
// gate and ipip need a dataplane that sends packets. To an address of the loopback, gate is the same as masq.
package userspace
