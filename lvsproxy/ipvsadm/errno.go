package ipvsadm

import (
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// refusals are ipvsadm's words for what the kernel refuses, by what was asked for; "" is anything.
var refusals = []struct {
	verb  Verb
	errno syscall.Errno
	text  string
}{
	{AddService, syscall.EEXIST, "Service already exists"},
	{AddService, syscall.ENOENT, "Scheduler or persistence engine not found"},
	{EditService, syscall.ESRCH, "No such service"},
	{EditService, syscall.ENOENT, "Scheduler or persistence engine not found"},
	{DeleteService, syscall.ESRCH, "No such service"},
	{Zero, syscall.ESRCH, "No such service"},
	{AddServer, syscall.ESRCH, "Service not defined"},
	{AddServer, syscall.EEXIST, "Destination already exists"},
	{EditServer, syscall.ESRCH, "Service not defined"},
	{EditServer, syscall.ENOENT, "No such destination"},
	{DeleteServer, syscall.ESRCH, "Service not defined"},
	{DeleteServer, syscall.ENOENT, "No such destination"},
	{StartDaemon, syscall.EEXIST, "Daemon has already run"},
	{StopDaemon, syscall.ESRCH, "No daemon is running"},
	{List, syscall.ESRCH, "No such service"},
	{"", syscall.EPERM, "Permission denied (you must be root)"},
	{"", syscall.EINVAL, "Invalid operation.  Possibly wrong module version, address not unicast, ..."},
	{"", syscall.ENOPROTOOPT, "Protocol not available"},
	{"", syscall.ENOMEM, "Memory allocation problem"},
	{"", syscall.EOPNOTSUPP, "Operation not supported with IPv6"},
	{"", syscall.EAFNOSUPPORT, "Operation not supported with specified address family"},
	{"", syscall.EMSGSIZE, "Module is wrong version"},
}

// Refusal returns what ipvsadm says, without the newline, when the kernel refuses a command with an error.
func Refusal(v Verb, errno syscall.Errno) string {
	for _, r := range refusals {
		if (r.verb == v || r.verb == "") && r.errno == errno {
			return r.text
		}
	}
	text := errno.Error() // glibc's words, but for the capital
	return strings.ToUpper(text[:1]) + text[1:]
}

// ErrnoName returns the name of an errno, such as EEXIST.
func ErrnoName(errno syscall.Errno) string { return unix.ErrnoName(errno) }

// ErrnoByName returns the errno with a name, or 0.
func ErrnoByName(name string) syscall.Errno {
	for errno := syscall.Errno(1); errno < 134; errno++ {
		if name != "" && unix.ErrnoName(errno) == name {
			return errno
		}
	}
	return 0
}
