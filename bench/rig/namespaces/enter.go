package namespaces

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

func (r *Rig) path(h Host) string { return "/run/netns/" + r.Name(h) }

// Do runs f on a host: the sockets that f opens and the processes that it starts, in its own goroutine, are there.
func (r *Rig) Do(h Host, f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer home.Close()
	away, err := os.Open(r.path(h))
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer away.Close()
	if err := unix.Setns(int(away.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter %s: %w", h, err)
	}
	defer func() {
		// A thread that cannot return is not unlocked, so that nothing else ever runs on it.
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
	}()
	return f()
}

// Inside returns which namespace of a rig, its own or another process's, the calling goroutine's thread is in, and "" if it
// is in none. Ask it within [Rig.Do], or in a program that [Rig.Command] started.
func Inside() string {
	var here, there unix.Stat_t
	if unix.Stat("/proc/thread-self/ns/net", &here) != nil {
		return ""
	}
	paths, _ := filepath.Glob("/run/netns/lvsession-*")
	for _, path := range paths {
		name := filepath.Base(path)
		if ours.MatchString(name) && unix.Stat(path, &there) == nil && there.Dev == here.Dev && there.Ino == here.Ino {
			return name
		}
	}
	return ""
}

// Dial connects from a host. The address is one of an IP and a port, not of a name.
func (r *Rig) Dial(ctx context.Context, h Host, network, address string) (c net.Conn, err error) {
	err = r.Do(h, func() (err error) {
		c, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return c, err
}

// Await waits until a connection of TCP from a host can be had, and closes it. It asks before each try whether there is still
// something to wait for, unless hope is nil; its error ends the wait.
func (r *Rig) Await(ctx context.Context, h Host, address string, hope func() error) error {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		if hope != nil {
			if err := hope(); err != nil {
				return err
			}
		}
		c, err := r.Dial(ctx, h, "tcp", address)
		if err == nil {
			return c.Close()
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w", address, err)
		}
	}
}

// Dialer is [Rig.Dial] on one host, as http.Transport wants it.
func (r *Rig) Dialer(h Host) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return r.Dial(ctx, h, network, address)
	}
}

// Listen listens on a host.
func (r *Rig) Listen(ctx context.Context, h Host, network, address string) (l net.Listener, err error) {
	err = r.Do(h, func() (err error) {
		l, err = new(net.ListenConfig).Listen(ctx, network, address)
		return err
	})
	return l, err
}

// ListenPacket takes datagrams on a host.
func (r *Rig) ListenPacket(ctx context.Context, h Host, network, address string) (c net.PacketConn, err error) {
	err = r.Do(h, func() (err error) {
		c, err = new(net.ListenConfig).ListenPacket(ctx, network, address)
		return err
	})
	return c, err
}
