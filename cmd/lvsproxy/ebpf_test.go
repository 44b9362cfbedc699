package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/lvsession/lvsession/bench/rig/namespaces"
)

// kernelRig is a network with an lvsproxy on its director whose dataplane is in the kernel.
type kernelRig struct {
	*namespaces.Rig
	t       *testing.T
	pin     string // of the maps: each test has its own
	admin   string
	config  string
	program string   // lvsproxy, or this test as lvsproxy
	prefix  []string // a command line before that of lvsproxy, when it starts
}

// needKernelRig starts a network, or skips the test.
func needKernelRig(t *testing.T, o namespaces.Options) *kernelRig {
	t.Helper()
	r := &kernelRig{Rig: namespaces.NeedWith(t, o), t: t, pin: filepath.Join(t.TempDir(), "bpf", "lvsproxy"), program: os.Args[0]}
	r.admin, r.config = filepath.Join(t.TempDir(), "admin.sock"), filepath.Join(t.TempDir(), "ldirectord.cf")
	t.Cleanup(func() {
		if err := unix.Unmount(filepath.Dir(r.pin), unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			t.Errorf("unmount %s: %v", r.pin, err)
		}
	})
	return r
}

// lvsproxy runs lvsproxy on the director to its end, and returns what it printed.
func (r *kernelRig) lvsproxy(args ...string) string {
	r.t.Helper()
	return r.lvsproxyOn(namespaces.Director, r.pin, args...)
}

// lvsproxyOn is lvsproxy on another host, with pins of its own.
func (r *kernelRig) lvsproxyOn(h namespaces.Host, pin string, args ...string) string {
	r.t.Helper()
	ctx := context.WithoutCancel(r.t.Context()) // also when the test cleans up
	cmd := r.Command(ctx, h, os.Args[0], append(args, "--bpf-pin", pin)...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Errorf("lvsproxy %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// start starts lvsproxy on the director and waits until it is ready.
func (r *kernelRig) start(config string, args ...string) *process {
	r.t.Helper()
	write(r.t, r.config, config)
	all := append([]string{"--config", r.config, "--admin", r.admin, "--dataplane", "ebpf", "--bpf-pin", r.pin, "--bpf-max-conns", "100000", "--metrics", ":9100"}, args...)
	line := append(append(slices.Clone(r.prefix), r.program), all...)
	cmd := r.Command(context.Background(), namespaces.Director, line[0], line[1:]...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p := launch(r.t, r.admin, cmd)
	p.await("msg=ready")
	r.t.Cleanup(func() {
		if r.t.Failed() {
			r.t.Logf("dropped: %v", r.drops())
		}
	})
	return p
}

// reload has a running lvsproxy read another configuration, and waits until the kernel has its tables.
func (r *kernelRig) reload(p *process, config string) {
	r.t.Helper()
	write(r.t, r.config, config)
	p.signal(syscall.SIGHUP)
	p.await("configuration loaded")
	r.lvsproxy("table", "--admin", r.admin) // what is shown is the kernel's by then
}

// drops returns the lines of the metrics that tell of packets that were dropped.
func (r *kernelRig) drops() (lines []string) {
	transport := &http.Transport{DialContext: r.Dialer(namespaces.Director), DisableKeepAlives: true}
	response, err := (&http.Client{Transport: transport, Timeout: patience}).Get("http://127.0.0.1:9100/metrics")
	if err != nil {
		return []string{err.Error()}
	}
	defer response.Body.Close()
	for s := bufio.NewScanner(response.Body); s.Scan(); {
		if strings.HasPrefix(s.Text(), "lvsproxy_dropped_packets_total") && !strings.HasSuffix(s.Text(), " 0") {
			lines = append(lines, s.Text())
		}
	}
	return lines
}

// end ends lvsproxy by SIGTERM.
func (r *kernelRig) end(p *process) {
	r.t.Helper()
	p.signal(syscall.SIGTERM)
	if err := p.exit(); err != nil {
		r.t.Errorf("lvsproxy ended: %v", err)
	}
}

// family is a version of IP in the rig.
type family struct {
	name         string
	vip          string
	client       string
	real1, real2 string
}

var families = []family{
	{"IPv4", namespaces.VIP, namespaces.ClientIP, namespaces.Real1IP, namespaces.Real2IP},
	{"IPv6", namespaces.VIP6, namespaces.ClientIP6, namespaces.Real1IP6, namespaces.Real2IP6},
}

// at writes an address and a port.
func at(ip string, port int) string {
	return netip.AddrPortFrom(netip.MustParseAddr(ip), uint16(port)).String()
}

// big is a body of 10 MB that is never the same twice in a row.
var big = func() []byte {
	b := make([]byte, 10<<20)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(b)
	return b
}()

// serveHTTP serves pages on a host: who it is and who asks, a big body, and what of a body arrived.
func (r *kernelRig) serveHTTP(h namespaces.Host, ip string, port int) {
	r.t.Helper()
	l, err := r.Listen(r.t.Context(), h, "tcp", at(ip, port))
	if err != nil {
		r.t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /who", func(w http.ResponseWriter, q *http.Request) {
		from, _ := netip.ParseAddrPort(q.RemoteAddr)
		fmt.Fprintf(w, "%s %s", h, from.Addr())
	})
	mux.HandleFunc("GET /big", func(w http.ResponseWriter, _ *http.Request) { w.Write(big) })
	mux.HandleFunc("POST /sum", func(w http.ResponseWriter, q *http.Request) {
		sum := sha256.New()
		n, err := io.Copy(sum, q.Body)
		fmt.Fprintf(w, "%d %x %v", n, sum.Sum(nil), err)
	})
	server := &http.Server{Handler: mux}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(l)
	}()
	r.t.Cleanup(func() {
		server.Close()
		<-done
	})
}

// browser is an HTTP client on the client's host; each request has a connection of its own unless they are kept.
func (r *kernelRig) browser(kept bool) *http.Client {
	transport := &http.Transport{DialContext: r.Dialer(namespaces.Client), DisableKeepAlives: !kept, DisableCompression: true}
	r.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// get gets a page of a VIP.
func get(t *testing.T, c *http.Client, url string) string {
	t.Helper()
	response, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// TestKernelDataplane: the thinnest way of all. A client reaches real servers in turn through the kernel, who see its
// address, and bodies arrive as they were sent; the director's own process sees none of it.
func TestKernelDataplane(t *testing.T) {
	r := needKernelRig(t, namespaces.Options{})
	for _, f := range families {
		r.serveHTTP(namespaces.Real1, f.real1, 80)
		r.serveHTTP(namespaces.Real2, f.real2, 80)
	}
	var config strings.Builder
	for _, f := range families {
		fmt.Fprintf(&config, "virtual%s=%s\n\tprotocol=tcp\n\tscheduler=rr\n\tchecktype=on\n", six(f), at(f.vip, 80))
		fmt.Fprintf(&config, "\treal%s=%s masq\n\treal%s=%s masq\n", six(f), at(f.real1, 80), six(f), at(f.real2, 80))
	}
	p := r.start(config.String())
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			c, url := r.browser(false), "http://"+at(f.vip, 80)
			for i, want := range []string{"real2", "real1", "real2", "real1"} { // the head of IPVS's list is who came last
				if got := get(t, c, url+"/who"); got != want+" "+f.client {
					t.Errorf("request %d: got %q, want %s, who sees %s", i, got, want, f.client)
				}
			}
			if got := get(t, c, url+"/big"); got != string(big) {
				t.Errorf("got %d bytes, which are not those that were sent", len(got))
			}
			response, err := c.Post(url+"/sum", "application/octet-stream", bytes.NewReader(big))
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(response.Body)
			response.Body.Close()
			if want := fmt.Sprintf("%d %x <nil>", len(big), sha256.Sum256(big)); string(body) != want {
				t.Errorf("got %q, want %q", body, want)
			}
		})
	}
	if table := r.lvsproxy("table", "--admin", r.admin); !strings.Contains(table, "Masq") {
		t.Errorf("got the table\n%s", table)
	}
	if shown := r.lvsproxy("dataplane", "show"); !strings.Contains(shown, "a running lvsproxy") || !strings.Contains(shown, "ingress") {
		t.Errorf("got %s", shown)
	}
	r.end(p)
	if detached := r.lvsproxy("dataplane", "detach"); !strings.Contains(detached, "detached from client ingress") {
		t.Errorf("got %s", detached)
	}
	if shown := r.lvsproxy("dataplane", "show"); !strings.Contains(shown, "nothing is attached") {
		t.Errorf("after detach, got %s", shown)
	}
}

// TestKernelLocal: where no real server is left, the director's own pages are shown.
func TestKernelLocal(t *testing.T) {
	r := needKernelRig(t, namespaces.Options{})
	r.serveHTTP(namespaces.Director, namespaces.VIP, 80)
	p := r.start(fmt.Sprintf("virtual=%s\n\tprotocol=tcp\n\tscheduler=rr\n\tchecktype=off\n\tfallback=127.0.0.1:80 gate\n\treal=%s masq\n",
		at(namespaces.VIP, 80), at(namespaces.Real1IP, 80)))
	for range 2 {
		if got := get(t, r.browser(false), "http://"+at(namespaces.VIP, 80)+"/who"); got != "director "+namespaces.ClientIP {
			t.Errorf("got %q, want the director, who sees the client", got)
		}
	}
	r.end(p)
	r.lvsproxy("dataplane", "detach")
}

// TestKernelNeighbours: other programs at TCX see packets as before, those before ours all, and outlive it.
func TestKernelNeighbours(t *testing.T) {
	r := needKernelRig(t, namespaces.Options{})
	r.serveHTTP(namespaces.Real1, namespaces.Real1IP, 80)
	count, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer count.Close()
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "MIT", Instructions: asm.Instructions{
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.LoadMapPtr(asm.R1, count.FD()), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -4), asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "next"),
		asm.Mov.Imm(asm.R1, 1), asm.StoreXAdd(asm.R0, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R0, -1).WithSymbol("next"), asm.Return(), // TCX_NEXT
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	var other link.Link
	if err := r.Do(namespaces.Director, func() error {
		device, err := net.InterfaceByName(namespaces.ToClient)
		if err == nil {
			other, err = link.AttachTCX(link.TCXOptions{Interface: device.Index, Program: program, Attach: ebpf.AttachTCXIngress})
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	p := r.start(fmt.Sprintf("virtual=%s\n\tprotocol=tcp\n\tscheduler=rr\n\tchecktype=on\n\treal=%s masq\n", at(namespaces.VIP, 80), at(namespaces.Real1IP, 80)))
	ask := func() (seen uint64) {
		if got := get(t, r.browser(false), "http://"+at(namespaces.VIP, 80)+"/who"); got != "real1 "+namespaces.ClientIP {
			t.Errorf("got %q", got)
		}
		if err := count.Lookup(uint32(0), &seen); err != nil {
			t.Fatal(err)
		}
		return seen
	}
	before := ask()
	if after := ask(); before == 0 || after <= before {
		t.Errorf("the other program saw %d packets, and then %d", before, after)
	}
	r.end(p)
	r.lvsproxy("dataplane", "detach")
	info, err := other.Info()
	if err != nil || info.TCX().Ifindex == 0 {
		t.Errorf("the other program is not attached any more: %+v, %v", info, err)
	}
}

func six(f family) string {
	if strings.Contains(f.vip, ":") {
		return "6"
	}
	return ""
}
