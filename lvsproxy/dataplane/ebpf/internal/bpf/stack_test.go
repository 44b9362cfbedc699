package bpf

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/asm"
)

// The kernel's verifier allows 512 bytes of stack for all functions that are entered at a time, each rounded up to 32 (MAX_BPF_STACK
// and check_max_stack_depth of kernel/bpf/verifier.c). What lies between is for what the next change needs.
const (
	mostStack  = 448
	stackRound = 32
)

// frames are the functions of a program: how much stack each has, and which others it calls.
type frames struct {
	bytes map[string]int
	calls map[string]map[string]bool
}

func framesOf(all asm.Instructions) frames {
	f := frames{bytes: map[string]int{}, calls: map[string]map[string]bool{}}
	name, base := "", map[asm.Register]bool{} // registers that point to the top of the frame
	for _, ins := range all {
		if at := ins.Symbol(); at != "" && !strings.HasPrefix(at, "LBB") {
			name, base = at, map[asm.Register]bool{asm.RFP: true}
			f.calls[name] = map[string]bool{}
		}
		if ins.IsFunctionReference() {
			f.calls[name][ins.Reference()] = true
		}
		down := 0
		switch op := ins.OpCode; {
		case op.Class().IsStore() && ins.Dst == asm.RFP, op.Class().IsLoad() && ins.Src == asm.RFP:
			down = -int(ins.Offset)
		case op.Class() == asm.ALU64Class && op.ALUOp() == asm.Add && op.Source() == asm.ImmSource && base[ins.Dst]:
			down = -int(ins.Constant)
			delete(base, ins.Dst)
		case op.Class() == asm.ALU64Class && op.ALUOp() == asm.Mov && op.Source() == asm.RegSource:
			base[ins.Dst] = ins.Src == asm.RFP
		}
		f.bytes[name] = max(f.bytes[name], down)
	}
	return f
}

// deepest returns the most stack that a function and those that it calls need, and by which way.
func (f frames) deepest(name string) (bytes int, way string) {
	for _, next := range slices.Sorted(maps.Keys(f.calls[name])) {
		if n, by := f.deepest(next); n > bytes {
			bytes, way = n, by
		}
	}
	own := (max(1, f.bytes[name]) + stackRound - 1) / stackRound * stackRound
	return own + bytes, strings.TrimSpace(fmt.Sprintf("%s %d %s", name, own, way))
}

// TestStack: no program uses up the stack.
func TestStack(t *testing.T) {
	spec, err := LoadKernel()
	if err != nil {
		t.Fatal(err)
	}
	for name, program := range spec.Programs {
		bytes, way := framesOf(program.Instructions).deepest(name)
		t.Logf("%d bytes: %s", bytes, way)
		if bytes > mostStack || bytes == 0 {
			t.Errorf("%s: %d bytes of stack, want at most %d: %s", name, bytes, mostStack, way)
		}
	}
}
