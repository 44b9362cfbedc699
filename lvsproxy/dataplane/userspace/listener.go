package userspace

import (
	"errors"
	"net"
	"os"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/service"
)

// listener takes the connections of one service.
type listener struct {
	dataplane *Dataplane
	service   *service.Service
	socket    *net.TCPListener
	closing   chan struct{} // closed by close
	done      chan struct{} // closed when run ends
}

// farewell is how long a listener that closes goes on to accept: closing the socket resets what the kernel has
// accepted and we have not, so it waits for a short time in which nobody comes.
const farewell = 20 * time.Millisecond

// close makes run end soon. It is called once.
func (l *listener) close() {
	close(l.closing)
	l.socket.SetDeadline(time.Now().Add(farewell))
}

func (l *listener) run() {
	defer close(l.done)
	defer l.socket.Close()
	select {
	case <-l.service.Settled():
	case <-l.closing:
	}
	var pause time.Duration
	for {
		client, err := l.socket.AcceptTCP()
		switch {
		case err == nil:
			pause = 0
			if !l.start(client) {
				return
			}
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, net.ErrClosed):
			return
		default: // too many open files, a client that went away: both pass
			pause = min(max(2*pause, time.Millisecond), time.Second)
			l.dataplane.log.Warn("accept failed", "virtual", l.service.ID().Addr, "error", err, "retry_in", pause)
			if !l.sleep(pause) {
				return
			}
		}
	}
}

// start serves a client as soon as the limit on connections allows. It reports false if the listener closed meanwhile.
func (l *listener) start(client *net.TCPConn) bool {
	d := l.dataplane
	select {
	case d.slots <- struct{}{}:
	default:
		d.warn(&d.limited, "connection limit reached: new connections wait until others end", "limit", d.options.MaxConns)
		select {
		case d.slots <- struct{}{}:
		case <-l.closing:
			reset(client)
			return false
		}
	}
	d.serving.Add(1)
	go func() {
		d.serve(l.service, client)
		<-d.slots
		d.serving.Done()
	}()
	return true
}

func (l *listener) sleep(pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.closing:
		return false
	}
}
