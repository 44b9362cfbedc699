// Package ebpf carries connections in the kernel, by programs that it attaches to network interfaces: what a packet costs
// is a lookup or two, and no packet comes to this process, which fills the tables, counts and sweeps.
package ebpf
