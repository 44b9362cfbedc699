package netlink

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/ipvs/internal/table"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// sent is what a client has sent: the command, the flags, and what follows the headers.
type sent struct {
	cmd   command
	flags uint16
	body  []byte
}

// clientOf returns a client of a kernel that gives answers, and an error with them, and where it notes what it was sent.
func clientOf(err error, answers ...attributes) (*Client, *[]sent) {
	var got []sent
	return &Client{family: 0x20, exchange: func(r *nl.NetlinkRequest) ([][]byte, error) {
		b := r.Serialize()[unix.SizeofNlMsghdr:]
		got = append(got, sent{command(b[0]), r.Flags, b[nl.SizeofGenlmsg:]})
		var messages [][]byte
		for _, a := range answers {
			messages = append(messages, append(make([]byte, nl.SizeofGenlmsg), a...))
		}
		return messages, err
	}}, &got
}

func TestEachStepIsItsCommand(t *testing.T) {
	s := table.Service{ID: config.VirtualID{Protocol: config.FWM, FWMark: 1}, Scheduler: "rr"}
	server := table.Server{Addr: netip.MustParseAddrPort("10.0.0.1:80"), Forward: config.Gate, Weight: 2}
	for op, want := range map[table.Op]command{
		table.AddService: newService, table.EditService: setService, table.RemoveService: delService,
		table.AddServer: newDest, table.EditServer: setDest, table.RemoveServer: delDest,
	} {
		step := table.Step{Op: op, Service: s, Server: server}
		c, got := clientOf(nil)
		if err := c.Do(step); err != nil {
			t.Fatal(err)
		}
		if len(*got) != 1 || (*got)[0].cmd != want || (*got)[0].flags&unix.NLM_F_ACK == 0 {
			t.Fatalf("%s is %+v", step, *got)
		}
		message, err := parse((*got)[0].body)
		if err != nil {
			t.Fatal(err)
		}
		v, err := message.nested(attrService)
		if err != nil {
			t.Fatal(err)
		}
		if id, err := decodeIdentity(v); err != nil || id != s.ID {
			t.Errorf("%s is of service %v (%v)", step, id, err)
		}
		if _, has := message[attrDest]; has != (op >= table.AddServer) {
			t.Errorf("%s has a real server: %t", step, has)
		}
		refusing, _ := clientOf(unix.EEXIST)
		if err := refusing.Do(step); !errors.Is(err, unix.EEXIST) {
			t.Errorf("%s: the kernel's error became %v", step, err)
		}
	}
}

func TestListsAreRead(t *testing.T) {
	id := config.VirtualID{Protocol: config.UDP, Addr: netip.MustParseAddrPort("192.0.2.1:53")}
	ours := table.Service{ID: id, Scheduler: "rr"}
	sctp := encodeService(table.Service{ID: config.VirtualID{Addr: id.Addr}, Scheduler: "rr"})
	c, got := clientOf(nil, within(attrService, sctp), within(attrService, encodeService(ours)))
	services, err := c.Services()
	if err != nil || !slices.Equal(services, []table.Service{ours}) {
		t.Errorf("the services are %v (%v)", services, err)
	}
	if s := (*got)[0]; s.cmd != getService || s.flags&unix.NLM_F_DUMP != unix.NLM_F_DUMP {
		t.Errorf("they were asked for by %+v", s)
	}
	server := table.Server{Addr: netip.MustParseAddrPort("10.0.0.1:53"), Forward: config.Masq, Weight: 1}
	c, _ = clientOf(nil, within(attrDest, encodeServer(server)))
	servers, err := c.Servers(id)
	if err != nil || !slices.Equal(servers, []Counted{{Server: server}}) {
		t.Errorf("the servers are %v (%v)", servers, err)
	}
	daemon := service.SyncDaemon{State: "master", Interface: "lo", SyncID: 3}
	a, err := encodeDaemon(daemon)
	if err != nil {
		t.Fatal(err)
	}
	c, _ = clientOf(nil, within(attrDaemon, a))
	daemons, err := c.SyncDaemons()
	if err != nil || !slices.Equal(daemons, []service.SyncDaemon{daemon}) {
		t.Errorf("the daemons are %v (%v)", daemons, err)
	}
}

func TestAnInterruptedListIsReadAgainAndThenAnError(t *testing.T) {
	c, got := clientOf(nl.ErrDumpInterrupted)
	if _, err := c.Services(); !errors.Is(err, nl.ErrDumpInterrupted) {
		t.Errorf("a list that was never whole is %v", err)
	}
	if len(*got) != dumps {
		t.Errorf("it was asked for %d times", len(*got))
	}
}

func TestTimeoutsAndDaemons(t *testing.T) {
	c, _ := clientOf(nil, encodeTimeouts(service.DefaultTimeouts))
	if timeouts, err := c.Timeouts(); err != nil || timeouts != service.DefaultTimeouts {
		t.Errorf("the time-outs are %v (%v)", timeouts, err)
	}
	c, got := clientOf(nil)
	if _, err := c.Timeouts(); err == nil {
		t.Error("no answer is no error")
	}
	*got = nil
	daemon := service.SyncDaemon{State: "backup", Interface: "lo"}
	for i, err := range []error{c.SetTimeouts(service.DefaultTimeouts), c.StartSync(daemon), c.StopSync("backup")} {
		if err != nil {
			t.Errorf("command %d: %v", i, err)
		}
	}
	var commands []command
	for _, s := range *got {
		commands = append(commands, s.cmd)
	}
	if want := []command{setConfig, newDaemon, delDaemon}; !slices.Equal(commands, want) {
		t.Errorf("the commands are %v", commands)
	}
}
