package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/rig/namespaces"
	"github.com/lvsession/lvsession/bench/rig/need"
	"github.com/lvsession/lvsession/lvsproxy/config"
)

// combination is a cell of the matrix: one virtual service.
type combination struct {
	forward   config.Forward
	family    family
	scheduler string
	protocol  string
	port      int
}

func (c combination) String() string {
	return fmt.Sprintf("%s/%s/%s/%s", c.forward, c.family.name, c.scheduler, c.protocol)
}

// matrixForwards are the methods of the matrix.
var matrixForwards = []config.Forward{config.Masq, config.Gate, config.IPIP}

func combinations() (all []combination) {
	for _, forward := range matrixForwards {
		for _, f := range families {
			for _, scheduler := range []string{"rr", "wrr", "wlc", "mh"} {
				for _, protocol := range []string{"tcp", "udp"} {
					all = append(all, combination{forward, f, scheduler, protocol, 8000 + len(all)})
				}
			}
		}
	}
	return all
}

// virtual returns the lines of an ldirectord.cf: the first real server has the weight 1, the second 2.
func (c combination) virtual() string {
	return fmt.Sprintf("virtual%s=%s\n\tprotocol=%s\n\tscheduler=%s\n\tchecktype=on\n\treal%[1]s=%[5]s %[6]s 1\n\treal%[1]s=%[7]s %[6]s 2\n",
		six(c.family), at(c.family.vip, c.port), c.protocol, c.scheduler, at(c.family.real1, c.port), c.forward, at(c.family.real2, c.port))
}

// shares returns how many of 6 connections, one after the other and kept open, each real server gets; nil where that
// depends on who asks.
func (c combination) shares() map[string]int {
	switch c.scheduler {
	case "rr":
		return map[string]int{"real1": 3, "real2": 3}
	case "wrr", "wlc":
		return map[string]int{"real1": 2, "real2": 4}
	}
	return nil
}

// serveNginx starts an nginx on a host that serves these ports at all its addresses. What is put there can be got again.
func (r *kernelRig) serveNginx(h namespaces.Host, ports []int) {
	r.t.Helper()
	program := need.Program(r.t, "nginx", "nginx-light libnginx-mod-http-dav-ext")
	dir := r.t.TempDir()
	var listen strings.Builder
	for _, port := range ports {
		fmt.Fprintf(&listen, "listen %d; listen [::]:%d; ", port, port)
	}
	write(r.t, filepath.Join(dir, "nginx.conf"), fmt.Sprintf(`daemon off; master_process off; user root; pid %[1]s/pid; error_log stderr;
events { worker_connections 1024; }
http { access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
client_max_body_size 100m; server { %[2]s root %[1]s/www; location / { dav_methods PUT; }
location = /who { return 200 "%[3]s $remote_addr"; } } }
`, dir, listen.String(), h))
	if err := os.MkdirAll(filepath.Join(dir, "www"), 0o755); err != nil {
		r.t.Fatal(err)
	}
	cmd := r.Command(r.t.Context(), h, program, "-p", dir, "-c", filepath.Join(dir, "nginx.conf"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	r.awaitTCP(h, ports[0])
}

// awaitTCP waits until a host listens on a port.
func (r *kernelRig) awaitTCP(h namespaces.Host, port int) {
	r.t.Helper()
	for until := time.Now().Add(patience); ; {
		c, err := r.Dial(r.t.Context(), h, "tcp", at("127.0.0.1", port))
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(until) {
			r.t.Fatal(err)
		}
	}
}

// serveEcho has a host say who it is and send each datagram back, at an address.
func (r *kernelRig) serveEcho(h namespaces.Host, ip string, port int) {
	r.t.Helper()
	c, err := r.ListenPacket(r.t.Context(), h, "udp", at(ip, port))
	if err != nil {
		r.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1<<16)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			asker, _ := netip.ParseAddrPort(from.String())
			c.WriteTo(append([]byte(fmt.Sprintf("%s %s ", h, asker.Addr())), buf[:n]...), from)
		}
	}()
	r.t.Cleanup(func() {
		c.Close()
		<-done
	})
}

// TestKernelMatrix: every forwarding method with every version of IP, scheduler and protocol.
func TestKernelMatrix(t *testing.T) {
	r := needKernelRig(t, namespaces.Options{})
	var text strings.Builder
	var ports []int
	for _, c := range combinations() {
		text.WriteString(c.virtual())
		if c.protocol == "tcp" {
			ports = append(ports, c.port)
			continue
		}
		for h, ip := range map[namespaces.Host]string{namespaces.Real1: c.family.real1, namespaces.Real2: c.family.real2} {
			if c.forward != config.Masq {
				ip = c.family.vip
			}
			r.serveEcho(h, ip, c.port)
		}
	}
	r.serveNginx(namespaces.Real1, ports)
	r.serveNginx(namespaces.Real2, ports)
	r.takeOutOfTunnels()
	p := r.start(text.String())
	for _, c := range combinations() {
		t.Run(c.String(), func(t *testing.T) {
			if c.protocol == "udp" {
				r.testUDP(t, c)
			} else {
				r.testTCP(t, c)
			}
		})
	}
	r.end(p)
	r.lvsproxy("dataplane", "detach")
}

// testTCP: connections go where the scheduler says, real servers see the client, and 10 MB arrive as they were sent, there
// and back.
func (r *kernelRig) testTCP(t *testing.T, c combination) {
	url := "http://" + at(c.family.vip, c.port)
	got := map[string]int{}
	for range 6 {
		browser := r.browser(true) // one connection each, which stays open
		who := strings.Fields(get(t, browser, url+"/who"))
		if len(who) != 2 || who[1] != c.family.client {
			t.Errorf("got %q, want a server and that it sees %s", who, c.family.client)
			continue
		}
		got[who[0]]++
	}
	checkShares(t, c, got)
	browser := r.browser(true)
	request, err := http.NewRequest(http.MethodPut, url+"/"+c.scheduler, bytes.NewReader(big))
	if err != nil {
		t.Fatal(err)
	}
	response, err := browser.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, response.Body)
	response.Body.Close()
	if response.StatusCode/100 != 2 {
		t.Fatalf("put: %s", response.Status)
	}
	if back := get(t, browser, url+"/"+c.scheduler); back != string(big) {
		t.Errorf("got %d bytes, which are not those that were sent", len(back))
	}
}

func checkShares(t *testing.T, c combination, got map[string]int) {
	t.Helper()
	want := c.shares()
	if want == nil {
		if len(got) != 1 {
			t.Errorf("got %v, want one server for one client", got)
		}
		return
	}
	for name, n := range want {
		if got[name] != n {
			t.Errorf("got %v, want %v", got, want)
			return
		}
	}
}

// imix are the sizes of datagrams of an internet mix, by how often they occur: 7 to 4 to 1 (RFC 6985's simple IMIX), as
// payloads of UDP over IPv6.
var imix = slices.Concat(slices.Repeat([]int{40}, 7), slices.Repeat([]int{528}, 4), []int{1400})

// testUDP: the same for datagrams of all sizes.
func (r *kernelRig) testUDP(t *testing.T, c combination) {
	got := map[string]int{}
	for range 6 {
		conn, err := r.Dial(t.Context(), namespaces.Client, "udp", at(c.family.vip, c.port))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		got[exchange(t, c, conn, imix)]++
		if c.forward != config.IPIP { // whose pieces would not fit the path
			exchange(t, c, conn, []int{4000, 9000})
		}
	}
	checkShares(t, c, got)
}

// exchange sends datagrams of these sizes over a flow and returns who answered, who must be one. Large ones come in pieces.
func exchange(t *testing.T, c combination, conn net.Conn, sizes []int) (who string) {
	t.Helper()
	buf := make([]byte, 1<<16)
	for i, size := range sizes {
		payload := big[i*1500 : i*1500+size]
		conn.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := conn.Write(payload); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		name, rest, _ := bytes.Cut(buf[:n], []byte(" "))
		from, rest, _ := bytes.Cut(rest, []byte(" "))
		if string(from) != c.family.client || !bytes.Equal(rest, payload) || who != "" && who != string(name) {
			t.Fatalf("datagram %d of %d bytes: %s, which sees %s, after %s, sent %d bytes back", i, size, name, from, who, len(rest))
		}
		who = string(name)
	}
	return who
}
