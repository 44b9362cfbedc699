package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// newNetwork moves this thread, and what it starts from now on, into a network namespace of its own, in which all of
// 10.0.0.0/8 is this machine's: so one process can be client, director and real servers.
func newNetwork() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("new network namespace: %w", err)
	}
	return loopback([4]byte{10, 0, 0, 1}, [4]byte{255, 0, 0, 0})
}

// loopback brings lo up with one more address. It does so by system calls, because starting a program takes its time
// here and each scenario needs it.
func loopback(addr, mask [4]byte) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	up, err1 := unix.NewIfreq("lo")
	alias, err2 := unix.NewIfreq("lo:1")
	netmask, err3 := unix.NewIfreq("lo:1")
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	up.SetUint16(unix.IFF_UP | unix.IFF_LOOPBACK | unix.IFF_RUNNING)
	err = errors.Join(alias.SetInet4Addr(addr[:]), netmask.SetInet4Addr(mask[:]))
	if err == nil {
		err = errors.Join(unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, up), unix.IoctlIfreq(fd, unix.SIOCSIFADDR, alias),
			unix.IoctlIfreq(fd, unix.SIOCSIFNETMASK, netmask))
	}
	if err != nil {
		return fmt.Errorf("bring lo up: %w", err)
	}
	return nil
}

// network6 makes all of fd00::/16 this machine's as well.
func network6() error {
	return errors.Join(quietly("ip", "-6", "route", "add", "local", "fd00::/16", "dev", "lo"), sysctl("net/ipv6/ip_nonlocal_bind", "1"))
}

// sysctl sets a variable of this thread's network namespace.
func sysctl(name, value string) error {
	return os.WriteFile("/proc/sys/"+name, []byte(value), 0)
}

// quietly runs a command that must succeed without a word.
func quietly(args ...string) error {
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err == nil && len(out) > 0 {
		err = errors.New("unexpected output")
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}
