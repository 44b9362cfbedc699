// Package flood sends TCP SYNs, or ACKs, from many clients that are not there, as an attacker would, at a virtual IP of the
// namespaces rig. It refuses to send anywhere else.
//
//	err := rig.Do(namespaces.Client, func() (err error) {
//		sent, err = flood.SYN(ctx, flood.Options{Target: vip, Rate: 200_000, Span: 10 * time.Second})
//		return err
//	})
package flood

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/lvsession/lvsession/bench/rig/namespaces"
)

// The bounds of every flood.
const (
	MostRate = 1_000_000
	MostSpan = time.Minute
)

// Options say what is sent. Target, Rate and Span must be set.
type Options struct {
	Target netip.AddrPort
	Rate   int           // segments a second, at most
	Span   time.Duration // for how long, at most
	Count  int           // how many in all, at most; 0 means what Rate and Span allow
	// ACK has ACKs of connections that are not there sent, and no SYNs.
	ACK bool
	// Clients are the addresses that the segments come from, by chance; the zero Prefix means the rig's Elsewhere.
	Clients netip.Prefix
	Seed    uint64 // of the chance
}

// Sent is what became of a flood.
type Sent struct {
	SYNs int // that left, or ACKs
	Lost int // that the sending device had no room for
	Took time.Duration
}

// Rate is how many left a second.
func (s Sent) Rate() float64 { return float64(s.SYNs) / s.Took.Seconds() }

// ErrOutside is the error of a flood outside of the rig.
var ErrOutside = errors.New("a flood is sent in a namespace of the rig only")

// SYN sends a flood from the namespace that the calling thread is in, which must be one of the rig's. It returns at the
// flood's end, or at ctx's, which is no error.
func SYN(ctx context.Context, o Options) (Sent, error) {
	if namespaces.Inside() == "" {
		return Sent{}, ErrOutside
	}
	if err := o.complete(); err != nil {
		return Sent{}, err
	}
	w, err := wayTo(ctx, o.Target.Addr())
	if err != nil {
		return Sent{}, fmt.Errorf("flood %v: %w", o.Target, err)
	}
	s, err := openSender(w.device)
	if err != nil {
		return Sent{}, fmt.Errorf("flood %v: %w", o.Target, err)
	}
	defer s.close()
	sent, err := s.run(ctx, o, newForger(w, o))
	if err != nil {
		return sent, fmt.Errorf("flood %v: %w", o.Target, err)
	}
	return sent, nil
}

func (o *Options) complete() error {
	o.Target = netip.AddrPortFrom(o.Target.Addr().Unmap(), o.Target.Port())
	six := o.Target.Addr().Is6()
	if !o.Clients.IsValid() {
		o.Clients = namespaces.Elsewhere
		if six {
			o.Clients = namespaces.Elsewhere6
		}
	}
	o.Clients = o.Clients.Masked()
	switch {
	case !o.Target.IsValid() || o.Target.Port() == 0:
		return fmt.Errorf("a flood's target cannot be %v", o.Target)
	case o.Clients.Addr().Is6() != six:
		return fmt.Errorf("%v and %v are not of one family", o.Clients, o.Target)
	case o.Rate < 1 || o.Rate > MostRate:
		return fmt.Errorf("a flood of %d a second is out of range: 1 to %d", o.Rate, MostRate)
	case o.Span <= 0 || o.Span > MostSpan:
		return fmt.Errorf("a flood of %v is out of range: up to %v", o.Span, MostSpan)
	case o.Count < 0:
		return fmt.Errorf("a flood of %d SYNs", o.Count)
	}
	if all := int(float64(o.Rate) * o.Span.Seconds()); o.Count == 0 || o.Count > all {
		o.Count = all
	}
	return nil
}

// sender sends frames by a device, many with one call.
type sender struct {
	fd      int
	headers [batchSize]message
	vectors [batchSize]unix.Iovec
}

const batchSize = 64

// message is the kernel's struct mmsghdr.
type message struct {
	unix.Msghdr
	size uint32
}

func openSender(device int) (*sender, error) {
	// Protocol 0: the socket receives nothing.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	s := &sender{fd: fd}
	// Past the queueing discipline, which would only hold the flood back.
	err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: device})
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	for i := range s.headers {
		s.headers[i].Iov = &s.vectors[i]
		s.headers[i].SetIovlen(1)
	}
	return s, nil
}

func (s *sender) close() { unix.Close(s.fd) }

func (s *sender) run(ctx context.Context, o Options, f *forger) (sent Sent, err error) {
	began := time.Now()
	for tried := 0; tried < o.Count && ctx.Err() == nil; {
		passed := time.Since(began)
		if passed >= o.Span {
			break
		}
		due := min(o.Count, int(passed.Seconds()*float64(o.Rate))+1) - tried
		if due <= 0 {
			time.Sleep(time.Millisecond) // the clock that a rate goes by
			continue
		}
		n := min(due, batchSize)
		left, err := s.send(f.forge(n))
		if err != nil {
			sent.Took = time.Since(began)
			return sent, err
		}
		tried += n
		sent.SYNs += left
		sent.Lost += n - left
	}
	sent.Took = time.Since(began)
	return sent, nil
}

// send sends the frames and returns how many left: fewer only where the device had no room.
func (s *sender) send(frames [][]byte) (left int, err error) {
	for i, frame := range frames {
		s.vectors[i].Base = &frame[0]
		s.vectors[i].SetLen(len(frame))
	}
	for at := 0; at < len(frames); {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.headers[at])), uintptr(len(frames)-at), 0, 0, 0)
		switch errno {
		case 0:
			at += int(n)
			left += int(n)
		case unix.ENOBUFS:
			at++
		case unix.EINTR:
		default:
			return left, fmt.Errorf("sendmmsg: %w", errno)
		}
	}
	return left, nil
}

// forger makes the frames of a flood.
type forger struct {
	frames  [batchSize][]byte
	list    [batchSize][]byte
	clients netip.Prefix
	target  netip.AddrPort
	random  *rand.Rand
}

func newForger(w way, o Options) *forger {
	f := &forger{clients: o.Clients, target: o.Target, random: rand.New(rand.NewPCG(o.Seed, 0))}
	for i := range f.frames {
		f.frames[i] = newFrame(w, o.Target)
		if o.ACK {
			setACK(f.frames[i], o.Target.Addr().Is6())
		}
	}
	return f
}

// forge returns n frames, which are good until the next call.
func (f *forger) forge(n int) [][]byte {
	for i := range n {
		f.list[i] = f.frames[i]
		setClient(f.frames[i], f.client(), uint16(1024+f.random.IntN(1<<16-1024)), f.random.Uint32())
	}
	return f.list[:n]
}

// client is an address by chance.
func (f *forger) client() netip.Addr {
	b := f.clients.Addr().AsSlice()
	for i, fixed := 0, f.clients.Bits(); i < len(b); i, fixed = i+1, fixed-8 {
		mask := byte(0xff) >> min(max(fixed, 0), 8)
		b[i] |= byte(f.random.Uint32()) & mask
	}
	addr, _ := netip.AddrFromSlice(b)
	return addr
}
