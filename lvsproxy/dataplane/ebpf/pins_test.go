package ebpf

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lvsession/lvsession/bench/rig/need"
)

// pinFolder is a folder for pins, on a bpffs of its own once something is pinned there; or the test is skipped.
func pinFolder(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		need.Skip(t, "pins need root")
	}
	bpffs := filepath.Join(t.TempDir(), "bpf")
	t.Cleanup(func() {
		if err := unix.Unmount(bpffs, 0); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			t.Errorf("unmount %s: %v", bpffs, err)
		}
	})
	return filepath.Join(bpffs, "lvsproxy")
}

// TestPinsAreOnes: whoever has the folder has it alone, and what is in it goes with remove.
func TestPinsAreOnes(t *testing.T) {
	dir := pinFolder(t)
	first, err := openPins(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !onBPF(first.path()) {
		t.Errorf("%s is in no bpffs", first.path())
	}
	if second, err := openPins(dir); !errors.Is(err, ErrInUse) {
		if err == nil {
			second.close()
		}
		t.Errorf("got %v for a second one, want ErrInUse", err)
	}
	if err := first.remove(); err != nil {
		t.Error(err)
	}
	first.close()
	if left, err := os.ReadDir(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left behind: %v, %v", left, err)
	}
	again, err := openPins(dir)
	if err != nil {
		t.Fatalf("after the first one has closed: %v", err)
	}
	again.close()
}

// TestPinName: a bpffs takes no dot in a name, and VLANs' devices have one.
func TestPinName(t *testing.T) {
	if got := pinName("eth0.7", 12, "ingress"); got != "eth0_7-12-ingress" {
		t.Errorf("got %s", got)
	}
}
