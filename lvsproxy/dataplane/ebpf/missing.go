package ebpf

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"
)

// Missing returns what keeps this process from carrying connections in the kernel: each lacking thing, in words for an
// operator. Nil means that nothing is known to. It changes nothing.
func (d *Dataplane) Missing() error {
	capable, err := capabilities()
	if err != nil {
		return err
	}
	var errs []error
	if !capable(unix.CAP_NET_ADMIN) {
		errs = append(errs, errors.New("no CAP_NET_ADMIN"))
	}
	if !capable(unix.CAP_BPF) && !capable(unix.CAP_SYS_ADMIN) {
		errs = append(errs, errors.New("no CAP_BPF"))
	}
	if !onBPF(d.options.Pin) && !capable(unix.CAP_SYS_ADMIN) {
		errs = append(errs, fmt.Errorf("%s is in no bpffs, and without CAP_SYS_ADMIN none can be mounted", d.options.Pin))
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	return kernelMisses()
}

// kernelMisses returns what the kernel does not have: Linux 5.17, the first with bpf_loop, has it all, but a kernel may be built
// without.
func kernelMisses() error {
	for _, t := range []ebpf.MapType{ebpf.LRUHash, ebpf.HashOfMaps, ebpf.PerCPUArray} {
		if err := features.HaveMapType(t); err != nil {
			return fmt.Errorf("the kernel has no BPF maps of type %v: %w", t, err)
		}
	}
	if err := features.HaveProgramType(ebpf.SchedCLS); err != nil {
		return fmt.Errorf("the kernel has no BPF programs at traffic control: %w", err)
	}
	if err := features.HaveProgramHelper(ebpf.SchedCLS, asm.FnLoop); err != nil {
		return fmt.Errorf("the kernel has no loops for BPF programs, as Linux 5.17 and later do: %w", err)
	}
	return nil
}

// capabilities returns which capabilities this process has in effect.
func capabilities() (has func(capability int) bool, err error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return nil, err
	}
	lines := strings.Split(string(status), "\n")
	i := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "CapEff:") })
	if i < 0 {
		return nil, errors.New("/proc/self/status does not tell the capabilities")
	}
	set, err := strconv.ParseUint(strings.TrimSpace(strings.TrimPrefix(lines[i], "CapEff:")), 16, 64)
	if err != nil {
		return nil, fmt.Errorf("/proc/self/status: %w", err)
	}
	return func(capability int) bool { return set&(1<<capability) != 0 }, nil
}
