package userspace

import "golang.org/x/sys/unix"

// end is one of a connection's two sockets. What is known of it is what epoll said last (edge-triggered), less what was
// found out since.
type end struct {
	c                  *conn
	fd                 int32 // -1: none
	place              int32
	readable, writable bool
	hup                bool // it will say no more: after what is left to read comes the end
}

// way is one direction of a connection. Bytes are read into the loop's buffer and written at once; only what the other
// side does not take is held. A way on which bytes come in bulk has them moved by the kernel, through a pipe: for small
// messages that costs more than copying them does.
type way struct {
	from, to *end
	held     []byte // read and not yet written
	buffer   []byte // what held lies in, if that is a buffer of the loop's
	pipe     *pipe  // nil while nothing is in it
	bulk     bool
	ended    bool // from has said all it has to say
	broken   bool // to takes no more: what comes is thrown away
	over     bool // the end was passed on
	bytes    uint64
}

// progress is why a way stopped.
type progress int

const (
	blocked progress = iota // until one of the ends is heard of
	more                    // had enough for this turn, though there is more
	over                    // the last byte was passed on, or there is nobody left who would take it
	dead                    // from is over in both directions: a reset
)

// portions is how often a way may read in one turn, so that one connection does not keep the others waiting.
const portions = 16

// pump moves what can be moved without waiting.
func (w *way) pump(l *loop) progress {
	for range portions {
		if !w.flush(l) {
			return blocked
		}
		if w.ended {
			w.over = true
			return over
		}
		if !w.from.readable {
			return blocked
		}
		if p := w.take(l); p != more {
			return p
		}
	}
	return more
}

// take reads once, and writes what it has read if it can. It returns more if it makes sense to go on.
func (w *way) take(l *loop) progress {
	if w.bulk && !w.broken && w.needPipe(l) {
		return w.fill(l)
	}
	n, errno := recv(int(w.from.fd), l.buffer)
	switch {
	case errno == unix.EAGAIN:
		w.from.readable = false
		return blocked
	case errno != 0:
		return dead
	case n == 0:
		w.ended = true
		return more
	}
	w.bytes += uint64(n)
	w.bulk = n == len(l.buffer)
	if !w.bulk && !w.from.hup {
		w.from.readable = false // a stream that gives less than it was asked for has no more (epoll(7))
	}
	w.give(l, l.buffer[:n])
	return more
}

// give writes what was read, and holds what is not taken.
func (w *way) give(l *loop, b []byte) {
	if w.broken {
		return
	}
	n, errno := 0, unix.EAGAIN
	if w.to.writable {
		n, errno = send(int(w.to.fd), b)
	}
	switch {
	case errno == unix.EAGAIN:
		n = 0
	case errno != 0:
		w.broken = true
		return
	case n == len(b):
		return
	}
	w.to.writable = false
	w.buffer = l.takeBuffer()
	w.held = w.buffer[:copy(w.buffer, b[n:])]
}

// flush writes what is held, and reports whether there is nothing left.
func (w *way) flush(l *loop) bool {
	for len(w.held) > 0 && !w.broken {
		if !w.to.writable {
			return false
		}
		n, errno := send(int(w.to.fd), w.held)
		switch {
		case errno == unix.EAGAIN:
			w.to.writable = false
			return false
		case errno != 0:
			w.broken = true
		default:
			w.held = w.held[n:]
		}
	}
	if w.buffer != nil || w.held != nil {
		w.drop(l)
	}
	return w.empty(l)
}

// drop gives back what was held.
func (w *way) drop(l *loop) {
	if w.buffer != nil {
		l.giveBuffer(w.buffer)
	}
	w.held, w.buffer = nil, nil
}

// release gives back all that the way has of the loop's.
func (w *way) release(l *loop) {
	w.drop(l)
	if w.pipe != nil {
		l.givePipe(w.pipe)
		w.pipe = nil
	}
}

// spareBuffers is how many buffers a loop keeps.
const spareBuffers = 64

func (l *loop) takeBuffer() []byte {
	if n := len(l.buffers); n > 0 {
		b := l.buffers[n-1]
		l.buffers = l.buffers[:n-1]
		return b
	}
	return make([]byte, bufferSize)
}

func (l *loop) giveBuffer(b []byte) {
	if len(l.buffers) < spareBuffers {
		l.buffers = append(l.buffers, b)
	}
}
