package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/lvsession/lvsession/lvsproxy/ipvsadm"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// Result is what came of a command.
type Result struct {
	// Errno is the name of the error with which the kernel's IPVS refuses the same, such as EEXIST, or empty.
	Errno string `json:"errno,omitempty"`
	// Error says what went wrong in the director's words; empty means nothing did.
	Error string `json:"error,omitempty"`
}

// Message returns what to print about a command's failure: ipvsadm's words where the kernel knows the failure, else the
// director's; or "" if there was none.
func (r Result) Message(v ipvsadm.Verb) string {
	if errno := ipvsadm.ErrnoByName(r.Errno); errno != 0 {
		return ipvsadm.Refusal(v, errno)
	}
	return r.Error
}

// errUnsupported is what only the kernel can do.
var errUnsupported = fmt.Errorf("%w by this director", service.ErrUnsupported)

// refusals are the errors that the kernel has too. All others speak for themselves.
var refusals = []error{
	service.ErrServiceExists, service.ErrNoService, service.ErrUnknownScheduler, service.ErrServerExists, service.ErrNoServer,
	service.ErrRange, service.ErrInvalid, service.ErrDaemonRuns, service.ErrNoDaemon,
}

func resultOf(err error) Result {
	if err == nil {
		return Result{}
	}
	result := Result{Error: err.Error()}
	var errno syscall.Errno
	for _, refusal := range refusals {
		if errors.Is(err, refusal) && errors.As(err, &errno) {
			result.Errno = ipvsadm.ErrnoName(errno)
		}
	}
	return result
}

// readCommands reads an array of commands that change something.
func readCommands(r io.Reader) ([]ipvsadm.Command, error) {
	in := json.NewDecoder(r)
	in.DisallowUnknownFields()
	var commands []ipvsadm.Command
	if err := in.Decode(&commands); err != nil {
		return nil, fmt.Errorf("read commands: %w", err)
	}
	if in.More() {
		return nil, errors.New("something follows the array of commands")
	}
	if len(commands) > MaxCommands {
		return nil, fmt.Errorf("%d commands in one request: expected at most %d", len(commands), MaxCommands)
	}
	for i, c := range commands {
		if !c.Modifies() {
			return nil, fmt.Errorf("command %d is %q: expected one that changes something", i, c.Verb)
		}
	}
	return commands, nil
}

// run carries out a command.
func run(d Director, c ipvsadm.Command) error {
	id := c.Service.ID()
	switch c.Verb {
	case ipvsadm.AddService, ipvsadm.EditService:
		settings, ok := c.Service.Settings()
		switch {
		case !ok:
			return cannotSet(d, c)
		case c.Verb == ipvsadm.AddService:
			return d.AddService(id, settings)
		}
		return d.EditService(id, settings)
	case ipvsadm.DeleteService:
		return d.DeleteService(id)
	case ipvsadm.AddServer:
		return d.AddServer(id, c.Server.Addr, c.Server.Settings())
	case ipvsadm.EditServer:
		return d.EditServer(id, c.Server.Addr, c.Server.Settings())
	case ipvsadm.DeleteServer:
		return d.DeleteServer(id, c.Server.Addr)
	case ipvsadm.Flush:
		return d.Flush()
	case ipvsadm.Zero:
		if c.Service.IsAll() {
			return d.Zero(nil)
		}
		return d.Zero(&id)
	case ipvsadm.SetTimeouts:
		return d.SetTimeouts(c.Timeouts.Settings())
	case ipvsadm.StartDaemon:
		return d.StartSync(c.Daemon.Settings())
	case ipvsadm.StopDaemon:
		return d.StopSync(c.Daemon.State)
	}
	return fmt.Errorf("unknown command %q", c.Verb)
}

// cannotSet returns why a service cannot have the settings of a command, in the kernel's order. A persistence engine is
// unknown here, as it is to a kernel without its module.
func cannotSet(d Director, c ipvsadm.Command) error {
	exists := ipvsadm.Find(d.Table(), c.Service) != nil
	switch {
	case exists && c.Verb == ipvsadm.AddService:
		return service.ErrServiceExists
	case !exists && c.Verb == ipvsadm.EditService:
		return service.ErrNoService
	case c.Service.Engine != "":
		return service.ErrUnknownScheduler
	}
	return fmt.Errorf("%w: a netmask with holes", errUnsupported)
}
