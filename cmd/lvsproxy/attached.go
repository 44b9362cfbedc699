package main

import (
	"fmt"
	"io"
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
	fmt.Fprintln(w, "INTERFACE\tHOOK\tBY\tPROGRAM")
	for _, p := range state.Programs {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\n", p.Interface, p.Hook, p.By, p.Program)
	}
	fmt.Fprintln(w, "\nMAP\tTYPE\tMAX ENTRIES\tBYTES")
	for _, m := range state.Maps {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\n", m.Name, m.Type, m.MaxEntries, m.Bytes)
	}
	w.Flush()
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
