package dataplanetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/lvsession/lvsession/bench/rig/flood"
	"github.com/lvsession/lvsession/bench/rig/namespaces"
)

// echo sends so many bytes and reads them back, at once.
func (c *conn) echo(size int) error {
	sent, got := make([]byte, size), make([]byte, size)
	rand.Read(sent)
	failed := make(chan error, 1)
	go func() {
		_, err := c.Write(sent)
		failed <- err
	}()
	_, err := io.ReadFull(c.in, got)
	if err := errors.Join(<-failed, err); err != nil {
		return err
	}
	if !bytes.Equal(sent, got) {
		return fmt.Errorf("%d bytes came back as others", size)
	}
	return nil
}

// bodies: large bodies go both ways at once, byte for byte, on several connections.
func bodies(b *bed) {
	b.serve(echo)
	b.start("\tscheduler=rr\n", b.both())
	conns, _ := b.dialAll(4, 0)
	var wg sync.WaitGroup
	for _, c := range conns {
		wg.Go(func() {
			if err := c.echo(10 << 20); err != nil {
				b.Errorf("server %d: %v", c.server, err)
			}
		})
	}
	wg.Wait()
}

// narrowPath: bodies also go where the links to the real servers take smaller packets than the client's: it learns of it.
func narrowPath(b *bed) {
	narrow := func(mtu string) {
		b.Helper()
		for _, end := range []struct {
			host   namespaces.Host
			device string
		}{
			{namespaces.Director, namespaces.ToReal1}, {namespaces.Real1, "eth0"}, {namespaces.Director, namespaces.ToReal2}, {namespaces.Real2, "eth0"},
		} {
			// What the client has learnt of the path is to be forgotten, and then again.
			for _, args := range [][]string{{"link", "set", end.device, "mtu", mtu}, {"route", "flush", "cache"}, {"-6", "route", "flush", "cache"}} {
				if out, err := b.rig.Command(context.Background(), end.host, "ip", args...).CombinedOutput(); err != nil {
					b.Fatalf("ip %v: %v: %s", args, err, out)
				}
			}
		}
	}
	narrow("1400")
	b.Cleanup(func() { narrow("1500") })
	bodies(b)
}

// halfClosed: after one side's end the other one can still send, each way.
func halfClosed(b *bed) {
	heard := make(chan string, 2)
	b.Run("client", func(b *bed) {
		b.serve(func(c *net.TCPConn) { // hears all, then speaks
			all, _ := io.ReadAll(c)
			c.Write(all)
		})
		b.start("\tscheduler=rr\n", b.both())
		for range 2 {
			c := b.dial(0)
			io.WriteString(c, "last words")
			c.CloseWrite()
			if got, err := io.ReadAll(c.in); err != nil || string(got) != "last words" {
				b.Errorf("%q, %v", got, err)
			}
		}
	})
	b.Run("server", func(b *bed) {
		b.serve(func(c *net.TCPConn) { // speaks, then hears
			c.CloseWrite()
			all, err := io.ReadAll(c)
			heard <- fmt.Sprint(string(all), err)
		})
		b.start("\tscheduler=rr\n", b.both())
		for range 2 {
			c := b.dial(0)
			if got, err := io.ReadAll(c.in); err != nil || len(got) > 0 {
				b.Errorf("%q, %v", got, err)
			}
			io.WriteString(c, "last words")
			c.Close()
			select {
			case got := <-heard:
				if got != "last words<nil>" {
					b.Errorf("the server heard %s", got)
				}
			case <-time.After(patience):
				b.Fatal("the server heard nothing")
			}
		}
	})
}

// portReused: a client may open a connection from a port whose last one has just ended.
func portReused(b *bed) {
	b.serve(func(c *net.TCPConn) { c.Read(make([]byte, 1)) }) // the server ends first, so the port is free at once
	b.start("\tscheduler=rr\n", b.both())
	from := netip.AddrPortFrom(b.clients[0], 20_000)
	for n := range 10 {
		c, err := b.dialFrom(from, netip.AddrPortFrom(b.vip, port))
		if err != nil {
			b.Fatalf("time %d from one port: %v", n+1, err)
		}
		io.WriteString(c, "x")
		if _, err := io.ReadAll(c.in); err != nil {
			b.Fatalf("time %d from one port: %v", n+1, err)
		}
		c.Close()
	}
}

// straight: what goes to a real server itself is left alone, from the port of a connection through the VIP too.
func straight(b *bed) {
	b.serve(echo)
	b.start("\tscheduler=rr\n", b.both())
	for n := range 2 {
		from := netip.AddrPortFrom(b.clients[0], uint16(21_000+n))
		through, err := b.dialFrom(from, netip.AddrPortFrom(b.vip, port))
		if err != nil {
			b.Fatal(err)
		}
		other := 3 - through.server // the one that has no connection from this port
		past, err := b.dialFrom(from, netip.AddrPortFrom(b.reals[other-1], port))
		if err != nil {
			b.Fatalf("straight to server %d: %v", other, err)
		}
		if past.server != other || past.seen != from.String() {
			b.Errorf("straight to server %d: server %d answers, and sees %s", other, past.server, past.seen)
		}
		b.alive([]*conn{through, past})
	}
}

// reset: a reset of either side is one for the other.
func reset(b *bed) {
	b.Run("client", func(b *bed) {
		failed := make(chan error, 1)
		b.serve(func(c *net.TCPConn) {
			_, err := io.ReadAll(c)
			failed <- err
		})
		b.start("\tscheduler=rr\n", b.both())
		for range 2 {
			c := b.dial(0)
			c.SetLinger(0)
			c.Close()
			select {
			case err := <-failed:
				if !errors.Is(err, syscall.ECONNRESET) {
					b.Errorf("the server: %v", err)
				}
			case <-time.After(patience):
				b.Fatal("the server was told nothing")
			}
		}
	})
	b.Run("server", func(b *bed) {
		b.serve(func(c *net.TCPConn) {
			c.Read(make([]byte, 1))
			c.SetLinger(0)
		})
		b.start("\tscheduler=rr\n", b.both())
		for range 2 {
			c := b.dial(0)
			io.WriteString(c, "x")
			if _, err := io.ReadAll(c.in); !errors.Is(err, syscall.ECONNRESET) {
				b.Errorf("the client: %v", err)
			}
		}
	})
}

// refused: without any server a client is not left waiting for ever, and the next one is served once there is one.
func refused(b *bed) {
	b.serve(echo)
	b.start("\tscheduler=rr\n", b.realLine(1, "0"))
	ctx, cancel := context.WithTimeout(b.Context(), time.Second)
	defer cancel()
	if c, err := b.rig.Dial(ctx, namespaces.Client, "tcp", netip.AddrPortFrom(b.vip, port).String()); err == nil {
		c.SetDeadline(time.Now().Add(patience))
		if n, err := c.Read(make([]byte, 1)); err == nil {
			b.Errorf("%d bytes of nobody", n)
		}
		c.Close()
	}
	b.reload(map[int]int{1: 1}, "\tscheduler=rr\n", b.realLine(1, "1"))
	if c := b.dial(0); c.server != 1 {
		b.Errorf("server %d answers", c.server)
	}
}

// datagrams: of each client all go to one server, and its answers come back from the VIP, whatever their size.
func datagrams(b *bed) {
	for n, host := range hosts {
		c, err := b.rig.ListenPacket(b.Context(), host, "udp", b.own(n+1).String())
		if err != nil {
			b.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for buffer := make([]byte, 2048); ; {
				size, from, err := c.ReadFrom(buffer)
				if err != nil {
					return
				}
				buffer[0] = byte('1' + n) // who answers
				c.WriteTo(buffer[:size], from)
			}
		}()
		b.Cleanup(func() { c.Close(); <-done })
	}
	b.start("\tprotocol=udp\n\tscheduler=rr\n", b.both())
	var shares [2]int
	for range 4 {
		// A connected socket takes nothing but what comes from the VIP.
		c, err := b.rig.Dial(b.Context(), namespaces.Client, "udp", netip.AddrPortFrom(b.vip, port).String())
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close() })
		first := byte(0)
		for range 5 {
			for _, size := range []int{1, 40, 576, 1400} {
				server, err := ask(c, size)
				if err != nil {
					b.Fatal(err)
				}
				if first == 0 {
					first = server
					shares[server-'1']++
				}
				if server != first {
					b.Fatalf("after %c, %c answers", first, server)
				}
			}
		}
	}
	if shares != [2]int{2, 2} {
		b.Errorf("the clients went to %v", shares)
	}
}

// ask sends a datagram and reads the answer.
func ask(c net.Conn, size int) (server byte, err error) {
	sent, got := make([]byte, size), make([]byte, 2048)
	rand.Read(sent)
	if _, err := c.Write(sent); err != nil {
		return 0, err
	}
	c.SetReadDeadline(time.Now().Add(patience))
	n, err := c.Read(got)
	if err != nil {
		return 0, fmt.Errorf("a datagram of %d bytes: %w", size, err)
	}
	if n != size || !bytes.Equal(got[1:n], sent[1:]) || got[0] != '1' && got[0] != '2' {
		return 0, fmt.Errorf("of %d bytes %d came back, or others", size, n)
	}
	return got[0], nil
}

// restart: connections live through the end of the process, or its replacement, while they are used.
func restart(b *bed) {
	b.serve(echo)
	b.start("\tscheduler=rr\n", b.both())
	conns, _ := b.dialAll(20, 0)
	stop := b.use(conns, 5*time.Millisecond)
	signals := []syscall.Signal{syscall.SIGUSR2}
	if b.subject.Outlives {
		signals = []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL, syscall.SIGUSR2}
	}
	for _, signal := range signals {
		if err := b.process.Signal(signal); err != nil {
			b.Fatal(err)
		}
		if !b.subject.Outlives {
			b.eventually("another process has taken over", func() error { return b.tookOver() })
			continue
		}
		select {
		case <-b.process.Done():
		case <-time.After(patience):
			b.Fatalf("%v does not end it", signal)
		}
		if signal == syscall.SIGUSR2 {
			b.admin.Close()
			b.eventually("another process has taken over", func() error {
				_, err := b.admin.Status(b.Context())
				return err
			})
			continue
		}
		b.launch()
	}
	for _, moved := range stop() {
		if moved == 0 {
			b.Error("a connection was not used")
		}
	}
	more, shares := b.dialAll(4, 0)
	if shares[0] == 0 || shares[1] == 0 { // the first of them may still be the old process's, whose turn is another
		b.Errorf("new connections went to %v", shares)
	}
	b.alive(append(conns, more...))
}

// tookOver has no complaint once the admin socket is another process's: that counts from the beginning.
func (b *bed) tookOver() error {
	status, err := b.admin.Status(b.Context())
	b.admin.Close() // the next question goes to whoever listens then
	if err == nil && (!status.Ready || status.Services[0].Conns > 0) {
		err = errors.New("the admin socket is the first process's")
	}
	return err
}

// use says something on each connection again and again, until stop is called, which returns how often each was answered.
func (b *bed) use(conns []*conn, pause time.Duration) (stop func() []int64) {
	ctx, cancel := context.WithCancel(b.Context())
	answers := make([]int64, len(conns))
	var wg sync.WaitGroup
	for i, c := range conns {
		wg.Go(func() {
			tick := time.NewTicker(pause)
			defer tick.Stop()
			for n := 0; ; n++ {
				select {
				case <-tick.C:
				case <-ctx.Done():
					return
				}
				if err := c.say(fmt.Sprintf("connection %d, line %d", i, n)); err != nil {
					b.Errorf("connection %d to server %d broke: %v", i, c.server, err)
					return
				}
				atomic.AddInt64(&answers[i], 1)
			}
		})
	}
	stop = sync.OnceValue(func() []int64 {
		cancel()
		wg.Wait()
		return answers
	})
	b.Cleanup(func() { stop() })
	return stop
}

// The flood is that of the issue, for a shorter time.
const (
	floodRate = 200_000
	floodSpan = 3 * time.Second
)

// synFlood: while SYNs of clients that are not there pour in, no connection breaks, and each keeps four fifths of its rate.
// On a machine that does other work the rate may fall for that: then once in three floods is enough.
func synFlood(b *bed) {
	b.serve(echo)
	b.start("\tscheduler=rr\n", b.both())
	conns, _ := b.dialAll(20, 0)
	kept := false
	for range 3 {
		if kept = b.flooded(conns); kept || b.Failed() {
			break
		}
	}
	if !kept {
		b.Error("the rate fell in each of three floods")
	}
	b.alive(conns)
	if _, err := b.tryDial(1); err != nil {
		b.Errorf("a new client after the flood: %v", err)
	}
}

// flooded reports whether connections keep their rate in a flood.
func (b *bed) flooded(conns []*conn) bool {
	const pause = 20 * time.Millisecond
	calm := b.used(conns, pause, func() { <-time.After(time.Second) }) // what is measured is time
	var sent flood.Sent
	storm := b.used(conns, pause, func() {
		if err := b.rig.Do(namespaces.Client, func() (err error) {
			sent, err = flood.SYN(b.Context(), flood.Options{Target: netip.AddrPortFrom(b.vip, port), Rate: floodRate, Span: floodSpan})
			return err
		}); err != nil {
			b.Fatal(err)
		}
	})
	b.Logf("%.0f SYNs a second; connections were used %.0f times a second, and %.0f without", sent.Rate(), storm, calm)
	if sent.SYNs < 10_000 {
		b.Errorf("the flood was a trickle: %+v", sent)
	}
	return storm >= 0.8*calm
}

// used is how often connections are used a second while f runs.
func (b *bed) used(conns []*conn, pause time.Duration, f func()) float64 {
	began := time.Now()
	stop := b.use(conns, pause)
	f()
	sum := int64(0)
	for _, n := range stop() {
		sum += n
	}
	return float64(sum) / time.Since(began).Seconds()
}
