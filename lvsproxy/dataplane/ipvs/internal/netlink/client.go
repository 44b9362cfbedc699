package netlink

import (
	"errors"
	"fmt"

	vishvananda "github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/ipvs/internal/table"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// Client speaks with the IPVS of the network namespace that its caller's thread is in. Its methods may be called
// concurrently; an error of the kernel's is its errno, by errors.Is.
type Client struct {
	family uint16
	// exchange sends a message and returns the answers, each with its generic netlink header.
	exchange func(r *nl.NetlinkRequest) ([][]byte, error)
}

// ErrNoIPVS tells that the kernel has no IPVS, or not yet.
var ErrNoIPVS = errors.New("no IPVS in this kernel: modprobe ip_vs")

// NewClient returns a client, or [ErrNoIPVS]. It needs no closing.
func NewClient() (*Client, error) {
	family, err := vishvananda.GenlFamilyGet(familyName)
	if errors.Is(err, unix.ENOENT) {
		return nil, ErrNoIPVS
	}
	if err != nil {
		return nil, fmt.Errorf("asking the kernel for IPVS: %w", err)
	}
	return &Client{family.ID, func(r *nl.NetlinkRequest) ([][]byte, error) { return r.Execute(unix.NETLINK_GENERIC, 0) }}, nil
}

// request returns a message.
func (c *Client) request(cmd command, flags int, a attributes) *nl.NetlinkRequest {
	r := nl.NewNetlinkRequest(int(c.family), flags)
	r.AddData(&nl.Genlmsg{Command: uint8(cmd), Version: familyVersion})
	r.AddRawData(a)
	return r
}

// tell sends a command that is answered by success or an error alone.
func (c *Client) tell(cmd command, a attributes) error {
	_, err := c.exchange(c.request(cmd, unix.NLM_F_ACK, a))
	return err
}

// dumps is how often a list is read that changes while it is read.
const dumps = 5

// dump asks for a list and returns the attributes of each element.
func (c *Client) dump(cmd command, a attributes) ([][]byte, error) {
	answers, err := c.exchange(c.request(cmd, unix.NLM_F_DUMP, a))
	for i := 1; i < dumps && errors.Is(err, nl.ErrDumpInterrupted); i++ {
		answers, err = c.exchange(c.request(cmd, unix.NLM_F_DUMP, a))
	}
	if err != nil {
		return nil, err
	}
	return bodies(answers)
}

// bodies returns what follows the generic netlink header of each answer.
func bodies(answers [][]byte) ([][]byte, error) {
	attrs := make([][]byte, len(answers))
	for i, b := range answers {
		if len(b) < nl.SizeofGenlmsg {
			return nil, fmt.Errorf("message of %d bytes", len(b))
		}
		attrs[i] = b[nl.SizeofGenlmsg:]
	}
	return attrs, nil
}

// within is attributes in a nest.
func within(kind uint16, a attributes) attributes {
	var outer attributes
	outer.nested(kind, a)
	return outer
}

// Do has the kernel carry out a step.
func (c *Client) Do(s table.Step) error {
	var err error
	switch s.Op {
	case table.AddService:
		err = c.tell(newService, within(attrService, encodeService(s.Service)))
	case table.EditService:
		err = c.tell(setService, within(attrService, encodeService(s.Service)))
	case table.RemoveService:
		err = c.tell(delService, within(attrService, identity(s.Service.ID)))
	case table.AddServer:
		err = c.tell(newDest, ofService(s, encodeServer(s.Server)))
	case table.EditServer:
		err = c.tell(setDest, ofService(s, encodeServer(s.Server)))
	case table.RemoveServer:
		err = c.tell(delDest, ofService(s, endpoint(s.Server)))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s, err)
	}
	return nil
}

// ofService is a real server with the service that it belongs to.
func ofService(s table.Step, server attributes) attributes {
	a := within(attrService, identity(s.Service.ID))
	a.nested(attrDest, server)
	return a
}

// Services returns the services that a director could have, without those of other protocols.
func (c *Client) Services() ([]table.Service, error) {
	answers, err := c.dump(getService, nil)
	if err != nil {
		return nil, fmt.Errorf("reading the services of IPVS: %w", err)
	}
	var services []table.Service
	for _, b := range answers {
		s, err := decodeService(b)
		if errors.Is(err, errForeign) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading the services of IPVS: %w", err)
		}
		services = append(services, s)
	}
	return services, nil
}

// Servers returns the real servers of a service in IPVS's order; of a service that there is not, none.
func (c *Client) Servers(id config.VirtualID) ([]Counted, error) {
	answers, err := c.dump(getDest, within(attrService, identity(id)))
	if err != nil {
		return nil, fmt.Errorf("reading the real servers of %s: %w", id.Name(), err)
	}
	servers := make([]Counted, len(answers))
	for i, b := range answers {
		if servers[i], err = decodeServer(b); err != nil {
			return nil, fmt.Errorf("reading the real servers of %s: %w", id.Name(), err)
		}
	}
	return servers, nil
}

// SetTimeouts sets those time-outs that are not 0.
func (c *Client) SetTimeouts(t service.Timeouts) error {
	if err := c.tell(setConfig, encodeTimeouts(t)); err != nil {
		return fmt.Errorf("setting the time-outs of IPVS: %w", err)
	}
	return nil
}

// Timeouts returns the time-outs in force.
func (c *Client) Timeouts() (t service.Timeouts, err error) {
	answers, err := c.exchange(c.request(getConfig, 0, nil))
	if err == nil {
		answers, err = bodies(answers)
	}
	if err == nil && len(answers) != 1 {
		err = fmt.Errorf("%d answers", len(answers))
	}
	if err == nil {
		t, err = decodeTimeouts(answers[0])
	}
	if err != nil {
		return t, fmt.Errorf("reading the time-outs of IPVS: %w", err)
	}
	return t, nil
}

// StartSync starts a synchronisation daemon; EEXIST if one of its state runs.
func (c *Client) StartSync(d service.SyncDaemon) error {
	a, err := encodeDaemon(d)
	if err != nil {
		return err
	}
	if err := c.tell(newDaemon, within(attrDaemon, a)); err != nil {
		return fmt.Errorf("starting the %s daemon of IPVS: %w", d.State, err)
	}
	return nil
}

// StopSync stops the synchronisation daemon of a state; ESRCH if none runs.
func (c *Client) StopSync(state string) error {
	a, err := encodeState(state)
	if err != nil {
		return err
	}
	if err := c.tell(delDaemon, within(attrDaemon, a)); err != nil {
		return fmt.Errorf("stopping the %s daemon of IPVS: %w", state, err)
	}
	return nil
}

// SyncDaemons returns the synchronisation daemons that run.
func (c *Client) SyncDaemons() ([]service.SyncDaemon, error) {
	answers, err := c.dump(getDaemon, nil)
	if err != nil {
		return nil, fmt.Errorf("reading the daemons of IPVS: %w", err)
	}
	daemons := make([]service.SyncDaemon, len(answers))
	for i, b := range answers {
		if daemons[i], err = decodeDaemon(b); err != nil {
			return nil, fmt.Errorf("reading the daemons of IPVS: %w", err)
		}
	}
	return daemons, nil
}
