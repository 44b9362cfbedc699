package ebpf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	if err := d.notAllowed(); err != nil {
		return err
	}
	return kernelMisses()
}

// notAllowed returns which privileges this process lacks.
func (d *Dataplane) notAllowed() error {
	capable, err := capabilities()
	if err != nil {
		return err
	}
	var errs []error
	if !capable(unix.CAP_NET_ADMIN) {
		errs = append(errs, errors.New("no CAP_NET_ADMIN"))
	}
	if !capable(unix.CAP_SYS_ADMIN) { // it stands for both, as before Linux 5.8
		if !capable(unix.CAP_BPF) {
			errs = append(errs, errors.New("no CAP_BPF"))
		}
		if !capable(unix.CAP_PERFMON) { // the verifier refuses pointer arithmetic without
			errs = append(errs, errors.New("no CAP_PERFMON"))
		}
	}
	if err := notWritable(d.options.Pin); err != nil {
		errs = append(errs, err)
	} else if !onBPF(d.options.Pin) && !capable(unix.CAP_SYS_ADMIN) {
		errs = append(errs, fmt.Errorf("%s is in no bpffs, and without CAP_SYS_ADMIN none can be mounted", d.options.Pin))
	}
	return errors.Join(errs...)
}

// notWritable returns why this process cannot write to a folder, or make it.
func notWritable(path string) error {
	for at := path; ; at = filepath.Dir(at) {
		err := unix.Faccessat(unix.AT_FDCWD, at, unix.W_OK|unix.X_OK, unix.AT_EACCESS)
		switch {
		case errors.Is(err, unix.ENOENT) && at != filepath.Dir(at):
			continue
		case errors.Is(err, unix.EACCES):
			return fmt.Errorf("%s is closed to user %d", at, os.Geteuid())
		case errors.Is(err, unix.EROFS):
			return fmt.Errorf("%s is read-only for this process", at)
		}
		return err
	}
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
