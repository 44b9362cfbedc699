// Package scheduler picks real servers in the very sequence in which IPVS picks them.
//
// A scheduler holds only its place in a list that someone else owns, as in the kernel: the list of a virtual service's
// destinations, newest first (IPVS adds to the head). It is told of every change to that list and is asked for the next
// destination. The facts come from the kernel's net/netfilter/ipvs: a file for each scheduler, and ip_vs_ctl.c for what is
// called when.
//
// lblc, lblcr and dh are for caches: they go by the address that the client connects to. sh and mh go by the client's.
//
// # Caveats
//
// Nothing here locks. Whoever owns the list calls all methods under the lock that guards the list.
package scheduler
