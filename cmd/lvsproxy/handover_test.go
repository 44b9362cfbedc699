package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/rig/need"
	"github.com/lvsession/lvsession/lvsproxy/admin"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/ipvsadm"
)

// successor waits until the process has handed over, and returns the new one's id. The new one ends with the test.
func (p *process) successor(t *testing.T) int {
	t.Helper()
	line := p.await("msg=\"handing over\"")
	match := regexp.MustCompile(`pid=(\d+)`).FindStringSubmatch(line)
	if match == nil {
		t.Fatalf("no pid in %q", line)
	}
	pid, err := strconv.Atoi(match[1])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Kill(pid, syscall.SIGKILL) })
	return pid
}

// visitors open connections at a rate, ask each for the name of its server, and close it.
type visitors struct {
	done, failed atomic.Int64
	first        atomic.Value // the first error
	began        time.Time
	stop         func()
}

func startLoad(vip string, perSecond int) *visitors {
	ctx, cancel := context.WithCancel(context.Background())
	l := &visitors{began: time.Now()}
	var wg sync.WaitGroup
	l.stop = func() { cancel(); wg.Wait() }
	const workers = 64
	interval := time.Second * workers / time.Duration(perSecond)
	for i := range workers {
		wg.Go(func() {
			next := time.Now().Add(interval * time.Duration(i) / workers)
			for ctx.Err() == nil {
				if wait := time.Until(next); wait > 0 { // else late: a busy machine
					select {
					case <-time.After(wait):
					case <-ctx.Done():
						return
					}
				}
				next = next.Add(interval)
				if now := time.Now(); next.Before(now.Add(-time.Second)) {
					next = now
				}
				if _, c, err := ask(vip); err != nil {
					l.failed.Add(1)
					l.first.CompareAndSwap(nil, err.Error())
				} else {
					c.Close()
					l.done.Add(1)
				}
			}
		})
	}
	return l
}

// more lets so many connections come and go.
func (l *visitors) more(t *testing.T, n int64) {
	t.Helper()
	until, deadline := l.done.Load()+n, time.Now().Add(patience)
	for l.done.Load() < until && l.failed.Load() == 0 {
		if time.Now().After(deadline) {
			t.Fatalf("only %d of %d connections", n-(until-l.done.Load()), n)
		}
		time.Sleep(time.Millisecond)
	}
}

// TestNobodyNotices: at 5,000 new connections a second, or as many as the machine can do, weights change, a server is
// removed and comes back, and the director is replaced by a new process twice. No connection fails.
func TestNobodyNotices(t *testing.T) {
	a, b := echo(t, "127.0.0.2", "a"), echo(t, "127.0.0.3", "b")
	vip, path := freeAddr(t), filepath.Join(t.TempDir(), "ldirectord.cf")
	text := func(servers ...string) string {
		text := "checkinterval=1\nvirtual=" + vip + "\n\tchecktype=connect\n\tscheduler=wrr\n"
		for _, s := range servers {
			text += "\treal=" + s + "\n"
		}
		return text
	}
	onA, onB := a.Addr().String()+" masq", b.Addr().String()+" masq"
	write(t, path, text(onA, onB))
	p := start(t, path)
	p.await("msg=ready")
	kept, open := mustAsk(t, vip)

	l := startLoad(vip, 5000)
	defer l.stop()
	const some = 1500
	l.more(t, some)
	for _, changed := range []string{text(onA+" 5", onB), text(onA + " 5"), text(onA, onB+" 2")} {
		write(t, path, changed)
		p.signal(syscall.SIGHUP)
		p.await("configuration loaded")
		l.more(t, some)
	}
	p.await("server up") // b is back
	p.signal(syscall.SIGUSR2)
	second := p.successor(t)
	p.await(`msg="handed over"`)
	l.more(t, some)
	if table, err := command("table", "--admin", p.admin).Output(); err != nil || !bytes.Contains(table, []byte(vip)) {
		t.Errorf("the new process's table: %s, %v", table, err)
	}
	fmt.Fprintln(open, "x") // opened before all this
	if line, err := bufio.NewReader(open).ReadString('\n'); line != "x\n" {
		t.Errorf("the old connection to %s: got %q, %v", kept, line, err)
	}
	open.Close()
	if state, err := p.cmd.Process.Wait(); err != nil || !state.Success() { // its last connection has ended
		t.Errorf("the first process ended with %v, %v", state, err)
	}
	if err := syscall.Kill(second, syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	third := p.successor(t)
	p.await(`msg="handed over"`)
	l.more(t, some)
	l.stop()
	if failed := l.failed.Load(); failed > 0 {
		t.Errorf("%d of %d connections failed, the first with %v", failed, failed+l.done.Load(), l.first.Load())
	}
	t.Logf("%d connections, %.0f a second", l.done.Load(), float64(l.done.Load())/time.Since(l.began).Seconds())

	syscall.Kill(third, syscall.SIGTERM)
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) { // the last one takes the socket's file away
		if _, err := os.Stat(p.admin); err != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Error("the admin socket's file is left behind")
			break
		}
	}
}

// TestHandoverKeepsEdits: what was changed by hand just before a handover is so in the new process.
func TestHandoverKeepsEdits(t *testing.T) {
	a, b := echo(t, "127.0.0.2", "a"), echo(t, "127.0.0.3", "b")
	vip, path := freeAddr(t), filepath.Join(t.TempDir(), "ldirectord.cf")
	write(t, path, "virtual="+vip+"\n\tchecktype=on\n\treal="+a.Addr().String()+" masq\n\treal="+b.Addr().String()+" masq\n")
	p := start(t, path)
	p.await("msg=ready")
	removal, err := ipvsadm.Parse("ipvsadm", []string{"-d", "-t", vip, "-r", a.Addr().String()}, config.SystemResolver{})
	if err != nil {
		t.Fatal(err)
	}
	client := admin.NewClient(p.admin)
	defer client.Close()
	results, err := client.Run(t.Context(), []ipvsadm.Command{removal})
	if err != nil || len(results) != 1 {
		t.Fatalf("removal by hand: %v, %v", results, err)
	}
	p.signal(syscall.SIGUSR2)
	p.successor(t)
	p.await(`msg="handed over"`)
	table, err := command("table", "--admin", p.admin).Output()
	if err != nil || bytes.Contains(table, []byte(a.Addr().String())) || !bytes.Contains(table, []byte(b.Addr().String())) {
		t.Errorf("the new process's table: %s, %v", table, err)
	}
}

// TestHandoverFails: a new process that cannot read its configuration changes nothing.
func TestHandoverFails(t *testing.T) {
	a := echo(t, "127.0.0.2", "a")
	vip, path := freeAddr(t), filepath.Join(t.TempDir(), "ldirectord.cf")
	write(t, path, "virtual="+vip+"\n\tchecktype=on\n\treal="+a.Addr().String()+" masq\n")
	p := start(t, path)
	p.await("msg=ready")
	write(t, path, "nonsense\n")
	p.signal(syscall.SIGUSR2)
	p.successor(t)
	p.await("handover failed; going on as before")
	mustAsk(t, vip)
	write(t, path, "virtual="+vip+"\n\tchecktype=on\n\treal="+a.Addr().String()+" masq\n")
	p.signal(syscall.SIGUSR2) // and it may be tried again
	pid := p.successor(t)
	p.await(`msg="handed over"`)
	mustAsk(t, vip)
	syscall.Kill(pid, syscall.SIGTERM)
}

// TestSocketActivation: systemd may open the sockets, of TCP, of UDP and of the admin socket, and wants to be told.
func TestSocketActivation(t *testing.T) {
	a := echo(t, "127.0.0.2", "a")
	dir := t.TempDir()
	vip, err := net.Listen("tcp", "127.0.0.77:0")
	if err != nil {
		t.Fatal(err)
	}
	datagrams, err := net.ListenPacket("udp", "127.0.0.77:0")
	if err != nil {
		t.Fatal(err)
	}
	adminPath := filepath.Join(dir, "admin.sock")
	unixListener, err := net.Listen("unix", adminPath)
	if err != nil {
		t.Fatal(err)
	}
	told, err := net.ListenPacket("unixgram", filepath.Join(dir, "notify"))
	if err != nil {
		t.Fatal(err)
	}
	defer told.Close()
	path := filepath.Join(dir, "ldirectord.cf")
	write(t, path, "virtual="+vip.Addr().String()+"\n\tchecktype=on\n\treal="+a.Addr().String()+" masq\n"+
		"virtual="+datagrams.LocalAddr().String()+"\n\tprotocol=udp\n\tchecktype=on\n\treal=127.0.0.2:9 masq\n")

	cmd := command("--config", path, "--admin", adminPath)
	// The process's own id must be in its environment, as systemd has it.
	cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=3 exec "$0" "$@"`}, cmd.Args...)
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+filepath.Join(dir, "notify"))
	for _, l := range []interface{ File() (*os.File, error) }{vip.(*net.TCPListener), datagrams.(*net.UDPConn), unixListener.(*net.UnixListener)} {
		f, err := l.File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	waiting, err := net.Dial("tcp", vip.Addr().String()) // before the director is there
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("%v; its log:\n%s", err, log.String())
		}
	}()
	defer waiting.Close()
	vip.Close()
	datagrams.Close()
	unixListener.(*net.UnixListener).SetUnlinkOnClose(false)
	unixListener.Close()

	waiting.SetDeadline(time.Now().Add(patience))
	if name, err := bufio.NewReader(io.LimitReader(waiting, 2)).ReadString('\n'); name != "a\n" {
		t.Errorf("got %q, %v", name, err)
	}
	told.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, 100)
	n, _, err := told.ReadFrom(b)
	if want := fmt.Sprintf("READY=1\nMAINPID=%d", cmd.Process.Pid); err != nil || string(b[:n]) != want {
		t.Errorf("systemd was told %q, %v; want %q", b[:n], err, want)
	}
	if table, err := command("table", "--admin", adminPath).Output(); err != nil || !strings.Contains(string(table), "UDP  "+datagrams.LocalAddr().String()) {
		t.Errorf("the table: %s, %v", table, err)
	}
}

// TestIdleMemory: 10,000 connections, or as many as open files are allowed for, on which nothing moves cost the director
// less than 10 KiB each.
func TestIdleMemory(t *testing.T) {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	n := int(min(10_000, files.Max*4/10)) // two files for each, here as in the director
	if n < 400 {
		need.Skip(t, fmt.Sprintf("the limit on open files is %d: ulimit -Hn 25000", files.Max))
	}
	a, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	var silent sync.WaitGroup
	defer silent.Wait()
	defer a.Close()
	silent.Go(func() { // echo has a pipe for each connection
		for {
			c, err := a.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			fmt.Fprintln(c, "a")
		}
	})
	vip, path := freeAddr(t), filepath.Join(t.TempDir(), "ldirectord.cf")
	write(t, path, "virtual="+vip+"\n\tchecktype=on\n\treal="+a.Addr().String()+" masq\n")
	p := start(t, path)
	p.await("msg=ready")
	for range 100 { // what is needed for any number
		mustAsk(t, vip)
	}
	before := resident(t, p.cmd.Process.Pid)
	for range n {
		mustAsk(t, vip)
	}
	each := (resident(t, p.cmd.Process.Pid) - before) / n
	t.Logf("%d idle connections cost %d bytes each", n, each)
	if each > 10<<10 {
		t.Errorf("%d bytes a connection", each)
	}
}

// resident is the memory that a process has, in bytes.
func resident(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)
	if match == nil {
		t.Fatalf("no VmRSS in %s", status)
	}
	kib, _ := strconv.Atoi(string(match[1]))
	return kib << 10
}
