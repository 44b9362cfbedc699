package userspace

import (
	"encoding/binary"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// loop is one of a dataplane's event loops: a goroutine that waits by epoll(7) for the sockets of its connections, and
// does for each what can be done without waiting. A connection belongs to one loop for all its life, and only the loop's
// goroutine touches it, so there are no locks on the way of a byte. Others have something done in the loop by
// [loop.do] and [loop.call].
type loop struct {
	d     *Dataplane
	epoll int
	wake  int // an eventfd: there is something in the inbox
	done  chan struct{}

	// Of the loop's goroutine alone.
	sources  []registered
	free     []int32 // places in sources that are free
	conns    []*conn
	spare    []*conn // ended, to be used again
	again    []*conn // with more to do, though nothing will be heard of them
	others   []*conn // room for the next again
	shut     []*door // take no connections now, see door.pause
	counters []*counter
	batch    *batch // nil without counters
	looked   int64  // when deadlines were looked at last
	now      int64  // nanoseconds since the dataplane was made
	due      int64  // no deadline of a connection comes before; 0 means that there is none
	report   int64  // when traffic is counted next; 0 means that there is none to count
	stopped  bool
	buffer   []byte   // what was read and is written at once
	buffers  [][]byte // spare ones, for what cannot be written at once
	pipes    []*pipe  // spare ones
	piped    int      // how many pipes there are
	events   [128]unix.EpollEvent
	peer     unix.RawSockaddrInet6
	target   unix.RawSockaddrInet6
	info     unix.TCPInfo

	mu    sync.Mutex
	inbox []func()
	ended bool
}

// source is what a loop waits for.
type source interface {
	// ready is called with what epoll says of the descriptor.
	ready(events uint32)
}

// registered is a place for a source. Its round grows whenever the place gets free, so that what epoll has still said
// of an earlier source is known for that.
type registered struct {
	source
	round int32
}

// bufferSize is how much is read at once. Whoever fills it has more to send, and gets a pipe.
const bufferSize = 64 << 10

// noPlace is the place of what is not registered.
const noPlace = -1

func newLoop(d *Dataplane) (*loop, error) {
	l := &loop{d: d, done: make(chan struct{}), buffer: make([]byte, bufferSize)}
	var err error
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	if l.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err == nil {
		_, err = l.add(l.wake, unix.EPOLLIN, (*inbox)(l))
	}
	if err != nil {
		l.release()
		return nil, err
	}
	return l, nil
}

// release closes what the loop itself has open.
func (l *loop) release() {
	for _, p := range l.pipes {
		p.close()
	}
	if l.wake > 0 {
		unix.Close(l.wake)
	}
	unix.Close(l.epoll)
}

// add has a source told of events.
func (l *loop) add(fd int, events uint32, s source) (place int32, err error) {
	if n := len(l.free); n > 0 {
		place, l.free = l.free[n-1], l.free[:n-1]
	} else {
		place = int32(len(l.sources))
		l.sources = append(l.sources, registered{})
	}
	event := unix.EpollEvent{Events: events, Fd: place, Pad: l.sources[place].round}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		l.free = append(l.free, place)
		return noPlace, err
	}
	l.sources[place].source = s
	return place, nil
}

// remove forgets a source. Its descriptor is closed next, or was removed from epoll.
func (l *loop) remove(place int32) {
	if place == noPlace {
		return
	}
	l.sources[place].source = nil
	l.sources[place].round++
	l.free = append(l.free, place)
}

// run is the loop's goroutine. It ends when stop was called.
func (l *loop) run() {
	defer close(l.done)
	defer l.release()
	defer l.close()
	for !l.stopped {
		n, errno := l.glance()
		if n == 0 && errno == 0 && len(l.again) == 0 {
			n, errno = epollWait(l.epoll, l.events[:], l.patience())
		}
		if errno != 0 {
			n = 0 // interrupted: there are no other errors with a descriptor of our own
		}
		l.now = l.d.now()
		l.turn(l.events[:n])
	}
}

// glance looks for events without giving the loop's processor away. Under load the next ones are there or come very
// soon, and it costs less to sleep over them on a processor of Go's than to have it taken away and to get one back.
func (l *loop) glance() (int, unix.Errno) {
	wait := 0
	if l.d.spare && len(l.again) == 0 {
		wait = glanceMillis
		if next := l.next(); next != 0 && next < l.now+glanceMillis*int64(time.Millisecond) {
			wait = 0
		}
	}
	return epollGlance(l.epoll, l.events[:], wait)
}

const glanceMillis = 1

// turn does what there is to do at one moment.
func (l *loop) turn(events []unix.EpollEvent) {
	for i := range events {
		e := &events[i]
		if r := l.sources[e.Fd]; r.source != nil && r.round == e.Pad {
			r.ready(e.Events)
		}
	}
	if len(l.again) > 0 {
		work := l.again
		l.again = l.others[:0]
		for _, c := range work {
			c.resume()
		}
		l.others = work
	}
	if l.due != 0 && l.now >= l.due {
		l.expire()
	}
	if l.report != 0 && l.now >= l.report {
		l.count()
	}
}

// patience is how many milliseconds the loop may sleep; -1 is without an end.
func (l *loop) patience() int {
	next := l.next()
	if next == 0 {
		return -1
	}
	wait := (next - l.d.now() + int64(time.Millisecond) - 1) / int64(time.Millisecond)
	return int(min(max(wait, 0), int64(time.Hour/time.Millisecond)))
}

// next is when there is something to do even if nothing comes; 0 is never.
func (l *loop) next() int64 {
	if l.report != 0 && (l.due == 0 || l.report < l.due) {
		return l.report
	}
	return l.due
}

// dueBy has deadlines looked at no later than at t, a time of l.now's kind.
// Deadlines are looked at all together, and so not more often than every few milliseconds.
func (l *loop) dueBy(t int64) {
	t = max(t, l.looked+int64(5*time.Millisecond))
	if l.due == 0 || t < l.due {
		l.due = t
	}
}

// expire ends whatever is past its deadline, and finds out when to look again.
func (l *loop) expire() {
	l.due, l.looked = 0, l.now
	for i := len(l.conns) - 1; i >= 0; i-- { // an end moves the last one to its place
		c := l.conns[i]
		end := c.deadline()
		if end != 0 && end <= l.now {
			c.expired()
			if i >= len(l.conns) || l.conns[i] != c {
				continue
			}
			end = c.deadline()
		}
		if end != 0 {
			l.dueBy(end)
		}
	}
	for i := len(l.counters) - 1; i >= 0; i-- { // one that closes leaves the list
		l.counters[i].expire()
	}
	l.reopen()
}

// reportEvery is how often the traffic of connections that go on is counted.
const reportEvery = time.Second

// moved notes that there is traffic to count.
func (l *loop) moved() {
	if l.report == 0 {
		l.report = l.now + int64(reportEvery)
	}
}

// count adds the traffic of all connections to the counters of their servers.
func (l *loop) count() {
	l.report = 0
	for _, c := range l.conns {
		c.count()
	}
}

// do has f called in the loop, soon. It reports false if the loop has ended, and then f is not called.
func (l *loop) do(f func()) bool {
	l.mu.Lock()
	if l.ended {
		l.mu.Unlock()
		return false
	}
	l.inbox = append(l.inbox, f)
	first := len(l.inbox) == 1
	if first { // under the lock, so that the descriptor is still open
		var one [8]byte
		binary.NativeEndian.PutUint64(one[:], 1)
		unix.Write(l.wake, one[:])
	}
	l.mu.Unlock()
	return true
}

// call has f called in the loop and waits until that is done. It must not be called in a loop.
func (l *loop) call(f func()) {
	done := make(chan struct{})
	if l.do(func() { f(); close(done) }) {
		<-done
	}
}

// inbox is a loop as the source of what others want of it.
type inbox loop

func (i *inbox) ready(uint32) {
	l := (*loop)(i)
	l.mu.Lock()
	var count [8]byte
	unix.Read(l.wake, count[:])
	fs := l.inbox
	l.inbox = nil
	l.mu.Unlock()
	for _, f := range fs {
		f()
	}
}

// close takes no more into the inbox, and does what is in it.
func (l *loop) close() {
	l.mu.Lock()
	l.ended = true
	fs := l.inbox
	l.inbox = nil
	l.mu.Unlock()
	for _, f := range fs {
		f()
	}
}

// stop ends the loop and waits for that. It has no connections any more.
func (l *loop) stop() {
	l.do(func() { l.stopped = true })
	<-l.done
}
