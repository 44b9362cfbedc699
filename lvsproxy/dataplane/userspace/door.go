package userspace

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// front is where the connections of one service come in: listening sockets, as a rule one for each loop (SO_REUSEPORT),
// among which the kernel spreads the clients.
type front struct {
	d       *Dataplane
	loops   []*loop
	service *service.Service
	sockets []int
	doors   []doorIn
	closing chan struct{}
	begun   chan struct{} // closed once the doors are open
}

// opening is a socket of a front in one loop.
type opening interface {
	open() // begins to take what comes
	last() // takes what has come still, and no more
}

type doorIn struct {
	l *loop
	opening
}

// door is a front's listening socket in one loop.
type door struct {
	front  *front
	l      *loop
	fd     int
	events uint32
	place  int32
	pause  bool // takes no connections now
}

// farewell is how long a front that closes goes on to accept: closing a socket resets what the kernel has accepted and
// we have not, so it waits for a short time.
const farewell = 20 * time.Millisecond

// atOnce is how many connections a door takes before others have their turn.
const atOnce = 64

// begin opens the doors once it is known where the first connection goes, or the front closes.
func (f *front) begin() {
	defer close(f.begun)
	select {
	case <-f.service.Settled():
	case <-f.closing:
	}
	if f.service.ID().Protocol == config.UDP {
		f.beginUDP()
		return
	}
	loops := f.loops
	for i := range max(len(loops), len(f.sockets)) {
		d := &door{front: f, l: loops[i%len(loops)], fd: f.sockets[i%len(f.sockets)], events: unix.EPOLLIN, place: noPlace}
		if len(f.sockets) < len(loops) { // several loops wait for one socket: only one of them shall wake
			d.events |= unix.EPOLLEXCLUSIVE
		}
		f.add(d.l, d)
	}
}

// beginUDP is begin for datagrams: each socket is in one loop only, for all datagrams of a client must come to the same.
func (f *front) beginUDP() {
	for i, fd := range f.sockets {
		l := f.loops[i%len(f.loops)]
		f.add(l, &counter{front: f, l: l, fd: fd, place: noPlace, flows: map[netip.AddrPort]*flow{}})
	}
}

func (f *front) add(l *loop, o opening) {
	f.doors = append(f.doors, doorIn{l, o})
	l.call(o.open)
}

// close takes what has come in and no more, and returns once the sockets are closed.
func (f *front) close() {
	close(f.closing)
	<-f.begun
	time.Sleep(farewell)
	for _, d := range f.doors {
		d.l.call(d.last)
	}
	if f.service.ID().Protocol == config.TCP { // those of UDP close with the last flow
		closeAll(f.sockets)
	}
}

func (d *door) open() {
	place, err := d.l.add(d.fd, d.events, d)
	if err != nil {
		d.l.d.log.Error("cannot wait for connections", "virtual", d.front.service.ID().Addr, "error", err)
		return
	}
	d.place = place
}

// shut takes no more connections, until open.
func (d *door) shut() {
	if d.place != noPlace {
		unix.EpollCtl(d.l.epoll, unix.EPOLL_CTL_DEL, d.fd, nil)
		d.l.remove(d.place)
		d.place = noPlace
	}
}

// last takes what is there still and closes the door.
func (d *door) last() {
	for d.take() {
	}
	d.shut()
}

// ready implements source.
func (d *door) ready(uint32) { d.take() }

// take takes the connections that have come, and reports whether there may be more of them.
func (d *door) take() bool {
	if d.pause {
		return false
	}
	l := d.l
	for range atOnce {
		if !l.d.enter() {
			l.d.warn(&l.d.limited, "connection limit reached: new connections wait until others end", "limit", l.d.options.MaxConns)
			d.wait(0)
			return false
		}
		fd, errno := accept(d.fd, &l.peer)
		if errno == 0 {
			l.serve(d.front.service, fd, addrOf(&l.peer))
			continue
		}
		l.d.left()
		switch errno {
		case unix.EAGAIN:
			return false
		case unix.ECONNABORTED, unix.EINTR: // the client went away
		default: // too many open files: it passes
			l.d.warn(&l.d.limited, "accept failed", "virtual", d.front.service.ID().Addr, "error", errno)
			d.wait(time.Second / 10)
			return false
		}
	}
	return true
}

// wait takes no connections until others have ended, or for some time.
func (d *door) wait(t time.Duration) {
	d.pause = true
	d.shut()
	d.l.shut = append(d.l.shut, d)
	if t > 0 {
		d.l.dueBy(d.l.now + int64(t))
	}
	l := d.l
	l.d.starving.Add(1)
	if t == 0 && l.d.open.Load() < int64(l.d.options.MaxConns) { // one has ended meanwhile, and may not have seen us
		l.dueBy(l.now)
	}
}

// reopen opens the doors that wait.
func (l *loop) reopen() {
	if len(l.shut) == 0 {
		return
	}
	doors := l.shut
	l.shut = nil
	l.d.starving.Add(-int64(len(doors)))
	for _, d := range doors {
		d.pause = false
		select {
		case <-d.front.closing:
		default:
			d.open()
		}
	}
}
