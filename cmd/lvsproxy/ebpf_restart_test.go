package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/rig/namespaces"
)

// stage is how much is sent each way between two restarts: more than sockets hold, so that it moves only if all is well.
const stage = 16 << 10

// transfers are connections that each echo a stage of bytes whenever they are told to.
type transfers struct {
	t     *testing.T
	conns []net.Conn
}

// serveEchoTCP has a host send back whatever comes over a connection.
func (r *kernelRig) serveEchoTCP(h namespaces.Host, ip string, port int) {
	r.t.Helper()
	l, err := r.Listen(r.t.Context(), h, "tcp", at(ip, port))
	if err != nil {
		r.t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				stop := context.AfterFunc(r.t.Context(), func() { c.Close() }) // its client may have no way to it any more
				defer stop()
				defer c.Close()
				io.Copy(c, c)
			})
		}
	})
	r.t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
}

// open opens transfers to a VIP, at most some at a time.
func (r *kernelRig) open(t *testing.T, vip string, n int) *transfers {
	t.Helper()
	ts := &transfers{t: t, conns: make([]net.Conn, n)}
	errs := each(n, 16, func(i int) (err error) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		ts.conns[i], err = r.Dial(ctx, namespaces.Client, "tcp", vip)
		return err
	})
	if errs != nil {
		t.Fatal(errs)
	}
	t.Cleanup(ts.close)
	return ts
}

// each does something n times, some at a time.
func each(n, atOnce int, do func(i int) error) error {
	var wg sync.WaitGroup
	errs := make([]error, n)
	turns := make(chan struct{}, atOnce)
	for i := range n {
		turns <- struct{}{}
		wg.Go(func() {
			errs[i] = do(i)
			<-turns
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// move has each transfer go on by a stage. None may break, and what comes back must be what was sent.
func (ts *transfers) move(when string) {
	ts.t.Helper()
	err := each(len(ts.conns), 64, func(i int) error {
		conn, sent, got := ts.conns[i], big[i*1000:i*1000+stage], make([]byte, stage)
		conn.SetDeadline(time.Now().Add(patience))
		if _, err := conn.Write(sent); err != nil {
			return err
		}
		if _, err := io.ReadFull(conn, got); err != nil {
			return err
		}
		if !bytes.Equal(sent, got) {
			return errors.New("other bytes came back")
		}
		return nil
	})
	if err != nil {
		lines := strings.SplitN(err.Error(), "\n", 4)
		ts.t.Fatalf("transfers broke %s: %s", when, strings.Join(lines[:min(3, len(lines))], "; "))
	}
}

func (ts *transfers) close() {
	for _, c := range ts.conns {
		if c != nil {
			c.Close()
		}
	}
}

// TestKernelRestart: 1,000 transfers go on whatever becomes of the program: it is stopped and started, killed, and replaced by
// a newer one. While it is away nothing is lost either.
func TestKernelRestart(t *testing.T) {
	r := needKernelRig(t, namespaces.Options{})
	r.serveEchoTCP(namespaces.Real1, namespaces.Real1IP, 7)
	r.serveEchoTCP(namespaces.Real2, namespaces.Real2IP, 7)
	vip := at(namespaces.VIP, 7)
	config := fmt.Sprintf("cleanstop=no\nvirtual=%s\n\tprotocol=tcp\n\tscheduler=rr\n\tchecktype=on\n\treal=%s masq\n\treal=%s masq\n",
		vip, at(namespaces.Real1IP, 7), at(namespaces.Real2IP, 7))
	p := r.start(config)
	ts := r.open(t, vip, 1000)
	ts.move("at first")

	r.end(p)
	ts.move("while the program was stopped")
	more := r.open(t, vip, 10) // cleanstop=no
	more.move("that began meanwhile")
	p = r.start(config)
	ts.move("after a new start")
	if table := r.lvsproxy("table", "--admin", r.admin); !strings.Contains(table, " 505 ") {
		t.Errorf("of 1,010 connections each server has half; got\n%s", table)
	}

	p.signal(syscall.SIGKILL)
	p.exit()
	ts.move("while the program was killed")
	p = r.start(config)
	ts.move("after the start that followed")

	p.signal(syscall.SIGUSR2)
	p.successor(t)
	p.await("handed over")
	ts.move("during a handover")
	if state, err := p.cmd.Process.Wait(); err != nil || !state.Success() {
		t.Errorf("the process that handed over ended with %v, %v", state, err)
	}
	ts.move("after a handover")
	more.move("after all that")
	r.open(t, vip, 10).move("that began in the end")
}
