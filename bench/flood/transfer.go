package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lvsession/lvsession/bench/rig/namespaces"
)

// period is how many bytes are sent until they are the same again: a prime, so that no segment looks like the next one.
const period = 65521

// tick is how often a transfer gets what its pace allows.
const tick = 10 * time.Millisecond

// content holds the bytes of a transfer, for any place that it may go on at.
var content = func() []byte {
	b := make([]byte, 2*period)
	for i := range period {
		b[i] = byte(i * i >> 3)
		b[period+i] = b[i]
	}
	return b
}()

// server sends to all its clients.
type server struct {
	listener net.Listener
	ctx      context.Context
	stop     context.CancelFunc
	wg       sync.WaitGroup
}

// serve has each client get so many bytes a second, until the server is closed.
func serve(l net.Listener, pace int) *server {
	s := &server{listener: l}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.wg.Go(func() { s.send(c, pace) })
		}
	})
	return s
}

// send ends with the client, which is no error here: the client tells.
func (s *server) send(c net.Conn, pace int) {
	defer c.Close()
	defer context.AfterFunc(s.ctx, func() { c.Close() })()
	ticks := time.NewTicker(tick)
	defer ticks.Stop()
	began := time.Now()
	for sent := 0; ; {
		due := int(time.Since(began).Seconds()*float64(pace)) - sent
		for due > 0 {
			n, err := c.Write(content[sent%period:][:min(due, period)])
			if err != nil {
				return
			}
			sent, due = sent+n, due-n
		}
		select {
		case <-ticks.C:
		case <-s.ctx.Done():
			return
		}
	}
}

func (s *server) close() {
	s.stop()
	s.listener.Close()
	s.wg.Wait()
}

// transfers are those that clients have going.
type transfers struct {
	conns []net.Conn
	got   atomic.Int64 // bytes
	fell  atomic.Int64 // transfers that broke
	done  atomic.Bool
	wg    sync.WaitGroup
}

// open begins the transfers.
func (s *site) open(ctx context.Context, o options) (*transfers, error) {
	t := &transfers{}
	for range o.transfers {
		c, err := s.rig.Dial(ctx, namespaces.Client, "tcp", virtual)
		if err != nil {
			t.close()
			return nil, err
		}
		t.start(c)
	}
	return t, nil
}

// start receives by a connection until it ends, or all do.
func (t *transfers) start(c net.Conn) {
	t.conns = append(t.conns, c)
	t.wg.Go(func() {
		defer c.Close()
		t.receive(c)
		if !t.done.Load() {
			t.fell.Add(1)
		}
	})
}

// receive reads until the end, or until other bytes come than were sent.
func (t *transfers) receive(c net.Conn) {
	b := make([]byte, period)
	for at := 0; ; {
		n, err := c.Read(b)
		if !bytes.Equal(b[:n], content[at:][:n]) {
			return
		}
		at = (at + n) % period
		t.got.Add(int64(n))
		if err != nil {
			return
		}
	}
}

func (t *transfers) broken() int { return int(t.fell.Load()) }

// rate is how many megabytes came a second, in a time in which something is done.
func (t *transfers) rate(ctx context.Context, span time.Duration, do func(context.Context) error) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, span)
	defer cancel()
	began, before := time.Now(), t.got.Load()
	if do != nil {
		if err := do(ctx); err != nil {
			return 0, err
		}
	}
	<-ctx.Done() // the time is what is measured by
	if err := context.Cause(ctx); !errors.Is(err, context.DeadlineExceeded) {
		return 0, fmt.Errorf("measure: %w", err)
	}
	return float64(t.got.Load()-before) / 1e6 / time.Since(began).Seconds(), nil
}

func (t *transfers) close() {
	t.done.Store(true)
	for _, c := range t.conns {
		c.Close()
	}
	t.wg.Wait()
}
