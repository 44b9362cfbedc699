package main

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"text/tabwriter"

	"github.com/lvsession/lvsession/lvsproxy/dataplane/ebpf"
)

// showAttached is "lvsproxy dataplane show": what of the ebpf dataplane is in the kernel.
func showAttached(o options, stdout, stderr io.Writer) int {
	state, err := ebpf.Inspect(o.bpfPin)
	if err != nil {
		fmt.Fprintf(stderr, "lvsproxy: %v\n", err)
		return exitFailed
	}
	if len(state.Programs) == 0 && len(state.Maps) == 0 {
		fmt.Fprintf(stdout, "nothing is attached, and nothing pinned in %s\n", state.Pin)
		return exitOK
	}
	kept := "no process keeps it up to date"
	if state.Running {
		kept = "a running lvsproxy keeps it up to date"
	}
	fmt.Fprintf(stdout, "pinned in %s; %s\n\n", ebpf.Folder(state.Pin), kept)
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "INTERFACE\tHOOK\tBY\tPROGRAM\tLAYOUT")
	for _, p := range state.Programs {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", p.Interface, p.Hook, p.By, p.Program, p.Version)
	}
	fmt.Fprintln(w, "\nMAP\tTYPE\tMAX ENTRIES\tBYTES")
	for _, m := range state.Maps {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\n", m.Name, m.Type, m.MaxEntries, m.Bytes)
	}
	w.Flush()
	return exitOK
}

// decapsulate is "lvsproxy dataplane decapsulate": on a real server, what comes by ipip is taken out of the tunnel.
func decapsulate(o options, vips []string, stdout, stderr io.Writer) int {
	var addrs []netip.Addr
	for _, vip := range vips {
		a, err := netip.ParseAddr(vip)
		if err != nil {
			fmt.Fprintf(stderr, "lvsproxy: %v: expected the address of a VIP\n", err)
			return exitUsage
		}
		addrs = append(addrs, a)
	}
	if err := ebpf.Decapsulate(o.ebpf(nil), addrs...); err != nil {
		fmt.Fprintf(stderr, "lvsproxy: %v\n", err)
		return exitFailed
	}
	fmt.Fprintf(stdout, "packets to %s are taken out of tunnels, until lvsproxy dataplane detach\n", strings.Join(vips, ", "))
	return exitOK
}

// detach is "lvsproxy dataplane detach": nothing of the ebpf dataplane stays in the kernel.
func detach(o options, stdout, stderr io.Writer) int {
	programs, err := ebpf.Detach(o.bpfPin)
	for _, p := range programs {
		fmt.Fprintf(stdout, "detached from %s %s\n", p.Interface, p.Hook)
	}
	if err != nil {
		fmt.Fprintf(stderr, "lvsproxy: %v\n", err)
		return exitFailed
	}
	fmt.Fprintf(stdout, "nothing is pinned in %s\n", o.bpfPin)
	return exitOK
}
