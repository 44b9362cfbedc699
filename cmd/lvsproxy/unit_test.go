package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/lvsession/lvsession/bench/rig/namespaces"
	"github.com/lvsession/lvsession/bench/rig/need"
)

const (
	unitFile   = "../../deploy/lvsproxy/lvsproxy.service"
	kernelFile = "../../deploy/lvsproxy/kernel.conf"
)

// TestUnit: systemd has nothing against the unit, with or without the file for dataplanes in the kernel.
func TestUnit(t *testing.T) {
	analyze := need.Program(t, "systemd-analyze", "systemd")
	for name, dropIn := range map[string]bool{"alone": false, "kernel": true} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			units := filepath.Join(root, "etc/systemd/system")
			copyFile(t, unitFile, filepath.Join(units, "lvsproxy.service"))
			if dropIn {
				copyFile(t, kernelFile, filepath.Join(units, "lvsproxy.service.d/kernel.conf"))
			}
			for _, other := range []string{"sysinit", "basic", "shutdown", "umount", "network-online"} {
				writeAll(t, filepath.Join(units, other+".target"), "[Unit]\nDefaultDependencies=no\n", 0o644)
			}
			for _, program := range []string{"usr/bin/lvsproxy", "bin/kill"} {
				writeAll(t, filepath.Join(root, program), "#!/bin/true\n", 0o755)
			}
			out, err := exec.CommandContext(t.Context(), analyze, "verify", "--root="+root, "lvsproxy.service").CombinedOutput()
			if err != nil || len(out) > 0 {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	writeAll(t, to, string(text), 0o644)
}

// writeAll writes a file, and makes its folder.
func writeAll(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// bounds returns the capabilities that a file of systemd leaves to a service.
func bounds(t *testing.T, path string) (capabilities []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range regexp.MustCompile(`(?m)^CapabilityBoundingSet=(.*)$`).FindAllStringSubmatch(string(text), -1) {
		capabilities = append(capabilities, strings.Fields(line[1])...)
	}
	if len(capabilities) == 0 {
		t.Fatalf("%s bounds no capabilities", path)
	}
	return capabilities
}

// as returns a command line before which a program runs as root with no capabilities but these, and as the unit has it, without a
// way to more.
func as(t *testing.T, capabilities []string) []string {
	t.Helper()
	set := "-all"
	for _, name := range capabilities {
		set += ",+" + strings.ToLower(strings.TrimPrefix(name, "CAP_"))
	}
	return []string{need.Program(t, "setpriv", "util-linux"), "--no-new-privs", "--bounding-set=" + set}
}

// TestKernelPrivileges: what the unit leaves of root's privileges is enough for the ebpf dataplane, and whatever else is missing is
// named.
func TestKernelPrivileges(t *testing.T) {
	r := needKernelRig(t, namespaces.Options{})
	r.pin = filepath.Join(r.Pins(), "director") // in a bpffs that is there: only CAP_SYS_ADMIN could mount another one
	r.serveHTTP(namespaces.Real1, namespaces.Real1IP, 80)
	all := append(bounds(t, unitFile), bounds(t, kernelFile)...)
	config := fmt.Sprintf("virtual=%s\n\tprotocol=tcp\n\tscheduler=rr\n\tchecktype=on\n\treal=%s masq\n", at(namespaces.VIP, 80), at(namespaces.Real1IP, 80))
	r.prefix = as(t, all)
	p := r.start(config)
	if got, want := get(t, r.browser(false), "http://"+at(namespaces.VIP, 80)+"/who"), "real1 "+namespaces.ClientIP; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	r.end(p)
	r.lvsproxy("dataplane", "detach")

	args := []string{"--config", r.config, "--dataplane", "ebpf"}
	for _, lacks := range []string{"CAP_NET_ADMIN", "CAP_BPF", "CAP_PERFMON"} {
		var some []string
		for _, name := range all {
			if name != lacks {
				some = append(some, name)
			}
		}
		if said := r.refused(as(t, some), append(args, "--bpf-pin", r.pin)); !strings.Contains(said, "no "+lacks) || strings.Count(said, "no CAP_") != 1 {
			t.Errorf("without %s lvsproxy says %s", lacks, said)
		}
	}
	if said := r.refused(as(t, all), append(args, "--bpf-pin", filepath.Join(t.TempDir(), "bpf/lvsproxy"))); !strings.Contains(said, "is in no bpffs") {
		t.Errorf("without a bpffs lvsproxy says %s", said)
	}
	nobody := []string{need.Program(t, "setpriv", "util-linux"), "--reuid=65534", "--clear-groups", "--inh-caps=-all"}
	if said := r.refused(nobody, []string{"dataplane", "decapsulate", namespaces.VIP, "--bpf-pin", r.pin}); !strings.Contains(said, "is closed to user 65534") {
		t.Errorf("as another user lvsproxy says %s", said)
	}
}

// refused runs lvsproxy on the director, which is to end by itself, and returns what it says.
func (r *kernelRig) refused(prefix, args []string) string {
	r.t.Helper()
	line := append(append(prefix, r.program), args...)
	cmd := r.Command(r.t.Context(), namespaces.Director, line[0], line[1:]...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err == nil {
		r.t.Errorf("lvsproxy %v has succeeded", args)
	}
	return string(out)
}
