package ebpf

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"

	"github.com/lvsession/lvsession/bench/rig/namespaces"
	"github.com/lvsession/lvsession/bench/rig/need"
)

// passing is a program that leaves every packet alone.
func passing(t *testing.T) *ebpf.Program {
	t.Helper()
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "MIT",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, -1), asm.Return()}, // TC_ACT_UNSPEC: the next one decides
	})
	if err != nil {
		need.Skip(t, fmt.Sprintf("BPF programs cannot be loaded: %v", err))
	}
	t.Cleanup(func() { program.Close() })
	return program
}

func idOf(t *testing.T, p *ebpf.Program) int {
	t.Helper()
	info, err := p.Info()
	if err != nil {
		t.Fatal(err)
	}
	id, _ := info.ID()
	return int(id)
}

func testHook(p *ebpf.Program) []hook {
	return []hook{{"ingress", ebpf.AttachTCXIngress, netlink.HANDLE_MIN_INGRESS, p}}
}

// TestAttach: programs come to the interfaces that have an address and those that are named, a later process replaces them in
// place, an interface that goes is forgotten, and Detach leaves nothing: all this by TCX, and without.
func TestAttach(t *testing.T) {
	for _, noTCX := range []bool{false, true} {
		t.Run(fmt.Sprintf("noTCX=%t", noTCX), func(t *testing.T) {
			dir := pinFolder(t)
			r := namespaces.Need(t)
			if err := r.Do(namespaces.Director, func() error { return testAttach(t, dir, noTCX) }); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func testAttach(t *testing.T, dir string, noTCX bool) error {
	first, second := passing(t), passing(t)
	p, err := openPins(dir)
	if err != nil {
		return err
	}
	begin := func(program *ebpf.Program, only ...string) (*attachments, error) {
		a := newAttachments(p, testHook(program), Options{Interfaces: only, Logger: slog.New(slog.DiscardHandler), noTCX: noTCX})
		return a, a.refresh()
	}
	a, err := begin(first)
	if err != nil {
		return err
	}
	want(t, p, map[string]int{"client": idOf(t, first), "real1": idOf(t, first), "real2": idOf(t, first)})
	a.close()
	if a, err = begin(second); err != nil {
		return err
	}
	all := map[string]int{"client": idOf(t, second), "real1": idOf(t, second), "real2": idOf(t, second)}
	want(t, p, all)
	gone, err := netlink.LinkByName("real2")
	if err != nil {
		return err
	}
	if err := netlink.LinkDel(gone); err != nil {
		return err
	}
	if err := a.refresh(); err != nil {
		return err
	}
	delete(all, "real2")
	want(t, p, all)
	a.close()
	p.close()
	detached, err := Detach(dir)
	if err != nil || len(detached) != 2 {
		t.Errorf("got %v, %v", detached, err)
	}
	state, err := Inspect(dir)
	if err != nil || len(state.Programs) > 0 || state.Running {
		t.Errorf("after Detach: %+v, %v", state, err)
	}
	if p, err = openPins(dir); err != nil {
		return err
	}
	defer p.close()
	if a, err = begin(first, "client"); err != nil {
		return err
	}
	want(t, p, map[string]int{"client": idOf(t, first)})
	a.close()
	return nil
}

// want checks which program is at which interface.
func want(t *testing.T, p *pins, programs map[string]int) {
	t.Helper()
	at, err := attached(p)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, a := range at {
		got[a.Interface] = a.Program
	}
	if !maps.Equal(got, programs) {
		t.Errorf("got programs at %v, want %v", slices.Collect(maps.Keys(got)), programs)
	}
}
