package userspace

import "golang.org/x/sys/unix"

// pipe is what bytes go through that the kernel moves from one socket to another (splice(2)).
type pipe struct {
	in, out int32
	size    int // how much is asked for at once
	filled  int // bytes in it
}

const (
	pipeSize  = 256 << 10 // the most that is asked for; an unprivileged user gets less after some dozens
	fewBytes  = 16 << 10  // a way that moves less at once is none for bulk
	pipeFiles = 2
)

func newPipe() (*pipe, error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	size, err := unix.FcntlInt(uintptr(ends[1]), unix.F_SETPIPE_SZ, pipeSize)
	if err != nil { // beyond pipe-user-pages-soft (pipe(7)): it works with less
		if size, err = unix.FcntlInt(uintptr(ends[1]), unix.F_GETPIPE_SZ, 0); err != nil {
			size = 4096
		}
	}
	return &pipe{in: int32(ends[1]), out: int32(ends[0]), size: size}, nil
}

func (p *pipe) close() {
	closeFile(int(p.in))
	closeFile(int(p.out))
}

// needPipe gets the way a pipe, if there is one left.
func (w *way) needPipe(l *loop) bool {
	if w.pipe == nil {
		w.pipe = l.takePipe()
	}
	return w.pipe != nil
}

// fill moves bytes into the way's pipe, which is empty.
func (w *way) fill(l *loop) progress {
	n, errno := splice(int(w.from.fd), int(w.pipe.in), w.pipe.size)
	switch {
	case errno == unix.EAGAIN:
		w.from.readable = false
		w.releasePipe(l) // an idle connection has none
		return blocked
	case errno == unix.EINVAL: // no splice for this kind of socket
		w.bulk = false
		return more
	case errno != 0:
		return dead
	case n == 0:
		w.ended = true
		return more
	}
	w.bytes += uint64(n)
	w.pipe.filled = n
	w.bulk = n >= fewBytes
	return more
}

// empty moves what is in the way's pipe on, and reports whether there is nothing left.
func (w *way) empty(l *loop) bool {
	if w.pipe == nil {
		return true
	}
	for w.pipe.filled > 0 && !w.broken {
		if !w.to.writable {
			return false
		}
		n, errno := splice(int(w.pipe.out), int(w.to.fd), w.pipe.filled)
		switch {
		case errno == unix.EAGAIN:
			w.to.writable = false
			return false
		case errno != 0 || n == 0:
			w.broken = true
		default:
			w.pipe.filled -= n
		}
	}
	if !w.bulk || w.ended || w.broken {
		w.releasePipe(l)
	}
	return true
}

func (w *way) releasePipe(l *loop) {
	l.givePipe(w.pipe)
	w.pipe = nil
}

// sparePipes is how many pipes a loop keeps open.
const sparePipes = 16

func (l *loop) takePipe() *pipe {
	if n := len(l.pipes); n > 0 {
		p := l.pipes[n-1]
		l.pipes = l.pipes[:n-1]
		return p
	}
	if l.piped >= l.d.maxPipes {
		return nil
	}
	p, err := newPipe()
	if err != nil {
		return nil // no files left: copying does as well
	}
	l.piped++
	return p
}

// givePipe takes a pipe back. One that is not empty is of no use to others.
func (l *loop) givePipe(p *pipe) {
	if p.filled > 0 || len(l.pipes) >= sparePipes {
		p.close()
		l.piped--
		return
	}
	l.pipes = append(l.pipes, p)
}
