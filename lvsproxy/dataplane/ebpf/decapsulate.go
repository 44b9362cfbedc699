package ebpf

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"

	"github.com/lvsession/lvsession/lvsproxy/dataplane/ebpf/internal/bpf"
)

// Decapsulate attaches a program to the interfaces of a real server that takes what comes in a tunnel (ipip) for these VIPs out
// of it, where the kernel has no tunnels of its own (no module ipip, or ip6_tunnel). It stays attached until [Detach]. VIPs of
// another call are added.
func Decapsulate(o Options, vips ...netip.Addr) error {
	d := New(o)
	if err := d.notAllowed(); err != nil {
		return err
	}
	p, err := openPins(d.options.Pin)
	if err != nil {
		return err
	}
	defer p.close()
	spec, err := bpf.LoadKernel()
	if err != nil {
		return fmt.Errorf("BPF programs: %w", err)
	}
	spec.Maps[bpf.KernelMapEndpoints].Pinning = ebpf.PinByName
	var objects struct {
		Decapsulate *ebpf.Program `ebpf:"decapsulate"`
		Endpoints   *ebpf.Map     `ebpf:"endpoints"`
	}
	if err := spec.LoadAndAssign(&objects, &ebpf.CollectionOptions{Maps: ebpf.MapOptions{PinPath: p.path()}}); err != nil {
		return fmt.Errorf("load the BPF program: %w", err)
	}
	defer objects.Decapsulate.Close()
	defer objects.Endpoints.Close()
	for _, vip := range vips {
		if err := objects.Endpoints.Put(addressOf(vip), uint32(1)); err != nil {
			return fmt.Errorf("take %s out of tunnels: %w", vip, err)
		}
	}
	a := newAttachments(p, []hook{{"decapsulate", ebpf.AttachTCXIngress, netlink.HANDLE_MIN_INGRESS, objects.Decapsulate}}, d.options)
	defer a.close()
	if err := a.refresh(); err != nil {
		return err
	}
	predecessors, err := p.predecessors()
	for _, older := range predecessors {
		err = errors.Join(err, older.retire(a.hooks))
	}
	return err
}

// newAttachments returns attachments that are at no interface yet.
func newAttachments(p *pins, hooks []hook, o Options) *attachments {
	return &attachments{
		pins: p, hooks: hooks, only: o.Interfaces, log: o.Logger, at: map[int]*attachment{}, refuse: map[int]bool{}, noTCX: o.noTCX,
	}
}
