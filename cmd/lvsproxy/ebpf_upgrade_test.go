package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/lvsession/lvsession/bench/rig/namespaces"
	"github.com/lvsession/lvsession/bench/rig/need"
)

// dataplaneSource is where the ebpf dataplane lies.
const dataplaneSource = "../../lvsproxy/dataplane/ebpf"

// buildVersion builds lvsproxy with other files in the place of some, by their paths, as another version might have them.
func buildVersion(t *testing.T, files map[string]string) (program string) {
	t.Helper()
	dir := t.TempDir()
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for path, other := range files {
		absolute, err := filepath.Abs(path)
		if err != nil {
			t.Fatal(err)
		}
		overlay.Replace[absolute] = other
	}
	text, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "overlay.json"), string(text))
	program = filepath.Join(dir, "lvsproxy")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", program, ".")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v: %s", cmd, err, out)
	}
	return program
}

// otherProgram is the dataplane's object with another program in it, for the same tables.
func otherProgram(t *testing.T) (object string) {
	t.Helper()
	clang := need.Program(t, "clang-14", "clang-14 llvm-14 libbpf-dev")
	object = filepath.Join(t.TempDir(), "kernel.o")
	cmd := exec.CommandContext(t.Context(), clang, "-O2", "-g", "-target", "bpfel", "-mcpu=v3", "-I/usr/include/x86_64-linux-gnu",
		"-I"+filepath.Join(dataplaneSource, "internal/bpf"), "-Dingress=__attribute__((always_inline)) former", "-c", "testdata/newer.c", "-o", object)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v: %s", cmd, err, out)
	}
	return object
}

// otherLayout is the dataplane's source with another version of the tables' layout.
func otherLayout(t *testing.T) (source string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dataplaneSource, "pins.go"))
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`const schema = "v(\d+)"`)
	if !line.Match(text) {
		t.Fatal("no version of the layout in pins.go")
	}
	source = filepath.Join(t.TempDir(), "pins.go")
	write(t, source, line.ReplaceAllString(string(text), `const schema = "v99"`))
	return source
}

// install puts a program where that of the rig is, as a package does.
func (r *kernelRig) install(program string) {
	r.t.Helper()
	next := r.program + ".next"
	if err := os.Link(program, next); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(next, r.program); err != nil {
		r.t.Fatal(err)
	}
}

// tags returns the kernel's tags of the programs at the client's device, by layout of their tables: what they are made of.
func (r *kernelRig) tags() map[string]string {
	r.t.Helper()
	pinned, err := filepath.Glob(filepath.Join(r.pin, "v*", "links", namespaces.ToClient+"-*"))
	if err != nil {
		r.t.Fatal(err)
	}
	tags := map[string]string{}
	for _, pin := range pinned {
		l, err := link.LoadPinnedLink(pin, nil)
		if err != nil {
			r.t.Fatal(err)
		}
		at, err := l.Info()
		l.Close()
		if err != nil {
			r.t.Fatal(err)
		}
		program, err := ebpf.NewProgramFromID(at.Program)
		if err != nil {
			r.t.Fatal(err)
		}
		info, err := program.Info()
		program.Close()
		if err != nil {
			r.t.Fatal(err)
		}
		tags[strings.Split(pin[len(r.pin)+1:], "/")[0]] = info.Tag
	}
	return tags
}

// TestKernelUpgrade: 1,000 transfers go on while lvsproxy is replaced by other versions. One with another program for the same
// tables goes on with the connections in them. One with other tables takes new connections, and leaves the programs before in
// their place for the others; so does the way back. At no time is a new connection refused.
func TestKernelUpgrade(t *testing.T) {
	r := needKernelRig(t, namespaces.Options{})
	r.serveEchoTCP(namespaces.Real1, namespaces.Real1IP, 7)
	r.serveEchoTCP(namespaces.Real2, namespaces.Real2IP, 7)
	r.program = filepath.Join(t.TempDir(), "lvsproxy")
	installed := buildVersion(t, nil)
	r.install(installed)
	vip := at(namespaces.VIP, 7)
	config := fmt.Sprintf("cleanstop=no\nvirtual=%s\n\tprotocol=tcp\n\tscheduler=rr\n\tchecktype=on\n\treal=%s masq\n\treal=%s masq\n",
		vip, at(namespaces.Real1IP, 7), at(namespaces.Real2IP, 7))
	p := r.start(config)
	first, layout := r.tags(), ""
	for layout = range first {
	}
	ts := r.open(t, vip, 1000)
	ts.move("at first")

	r.install(buildVersion(t, map[string]string{filepath.Join(dataplaneSource, "internal/bpf/kernel_bpfel.o"): otherProgram(t)}))
	p.signal(syscall.SIGUSR2)
	second := p.successor(t)
	ts.move("while another program came")
	p.await("handed over")
	more := r.open(t, vip, 10)
	ts.move("with another program")
	if got := r.tags(); len(got) != 1 || got[layout] == first[layout] {
		t.Errorf("after the program %v there is %v", first, got)
	}
	r.counts(505)

	r.install(buildVersion(t, map[string]string{filepath.Join(dataplaneSource, "pins.go"): otherLayout(t)}))
	if err := syscall.Kill(second, syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	third := p.successor(t)
	between := r.open(t, vip, 10)
	p.await("handed over")
	ts.move("while other tables came")
	p.await("the programs of another version go on")
	last := r.open(t, vip, 10)
	for _, all := range []*transfers{ts, more, between, last} {
		all.move("with other tables")
	}
	r.counts(5)
	if shown := r.lvsproxy("dataplane", "show"); !strings.Contains(shown, "v99") || !strings.Contains(shown, layout+"\n") || r.tags()["v99"] != first[layout] {
		t.Errorf("of the two layouts there is %v:\n%s", r.tags(), shown)
	}

	r.install(installed)
	if err := syscall.Kill(third, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.exit(); err != nil {
		t.Errorf("the first process ended: %v", err)
	}
	p = r.start(config)
	p.await("the programs of another version go on")
	back := r.open(t, vip, 10)
	for _, all := range []*transfers{ts, more, between, last, back} {
		all.move("on the way back")
	}
	r.end(p)
	if r.lvsproxy("dataplane", "detach"); len(r.tags()) > 0 {
		t.Errorf("after detach there is %v", r.tags())
	}
}

// counts fails the test unless each of two servers has so many active connections.
func (r *kernelRig) counts(each int) {
	r.t.Helper()
	if table := r.lvsproxy("table", "--admin", r.admin); strings.Count(table, fmt.Sprintf(" %d ", each)) != 2 {
		r.t.Errorf("not %d connections at each server:\n%s", each, table)
	}
}
