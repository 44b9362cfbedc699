// Package netlink speaks with the kernel's IPVS: the IPVS family of generic netlink, as linux/ip_vs.h numbers it and
// net/netfilter/ipvs/ip_vs_ctl.c reads and writes it. The messages are encoded and decoded without a kernel; [Client] sends
// them.
package netlink
