package choice_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/lvsession/lvsession/lvsproxy"
	"github.com/lvsession/lvsession/lvsproxy/check"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/choice"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/none"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/userspace"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// kernel stands for a dataplane of the kernel that this machine may not have: what it carries goes nowhere.
type kernel struct {
	none.Dataplane
	name   string
	refuse error
	opened []config.VirtualID
	closed []config.VirtualID
}

func (k *kernel) Abilities() config.Abilities {
	protocols := []config.Protocol{config.TCP, config.UDP}
	if k.name == "ipvs" {
		protocols = append(protocols, config.FWM)
	}
	return config.Abilities{
		Dataplane: k.name, Protocols: protocols,
		Forwards: []config.Forward{config.Masq, config.Gate, config.IPIP}, AnyPort: true, Persistence: true, Thresholds: true,
	}
}

func (k *kernel) Open(_ context.Context, s *service.Service) error {
	k.opened = append(k.opened, s.ID())
	return k.refuse
}

func (k *kernel) Close(s *service.Service) { k.closed = append(k.closed, s.ID()) }

// machine is what a test's machine has.
type machine struct {
	ebpf, ipvs error
	forwards   bool
}

func (m machine) dataplane(name string) (d *choice.Dataplane, ebpf, ipvs *kernel) {
	ebpf, ipvs = &kernel{name: "ebpf"}, &kernel{name: "ipvs"}
	return choice.New(choice.Options{
		Default: name, Forwards: func(bool) bool { return m.forwards },
		Candidates: []choice.Candidate{
			{Name: "ebpf", Dataplane: ebpf, Missing: func() error { return m.ebpf }, Kernel: true},
			{Name: "ipvs", Dataplane: ipvs, Missing: func() error { return m.ipvs }, Kernel: true},
			{Name: "userspace", Dataplane: userspace.New(userspace.Options{})},
		},
	}), ebpf, ipvs
}

func parse(t *testing.T, text string) *config.File {
	t.Helper()
	file, err := config.Parse("t.cf", []byte(text), config.SystemResolver{})
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// TestChoose: which dataplane carries a service, and why; or what is wrong with it, by file and line.
func TestChoose(t *testing.T) {
	capable := machine{forwards: true}
	noBPF, noModule := errors.New("no privilege"), errors.New("no module")
	virtual := "virtual=10.0.0.1:80\n"
	for _, c := range []struct {
		name, flag, text string
		machine          machine
		want, why        string
	}{
		{"the default is what it is", "userspace", virtual + "\treal=10.1.0.1:80 masq\n", capable, "userspace", "the command line names it"},
		{"the configuration goes before", "userspace", virtual + "\treal=10.1.0.1:80 gate\n\tdataplane=ipvs\n", capable, "ipvs", "the configuration names it"},
		{"what nobody has to ask the machine for", "ebpf", virtual + "\treal=10.1.0.1:80 gate\n", machine{ebpf: noBPF}, "ebpf", "the command line names it"},
		{"the best", "auto", virtual + "\treal=10.1.0.1:80 masq\n", capable, "ebpf", "it is the best there is"},
		{"the best by service", "userspace", virtual + "\treal=10.1.0.1:80 masq\n\tdataplane=auto\n", capable, "ebpf", "it is the best there is"},
		{"no privilege", "auto", virtual + "\treal=10.1.0.1:80 gate\n", machine{ebpf: noBPF, forwards: true}, "ipvs", "ebpf: no privilege"},
		{"neither", "auto", virtual + "\treal=10.1.0.1:80 masq\n", machine{noBPF, noModule, true}, "userspace", "ebpf: no privilege; ipvs: no module"},
		{"no gateway", "auto", virtual + "\treal=10.1.0.1:80 masq\n", machine{}, "userspace", "ebpf: masq in the kernel needs the answers to come back"},
		{"gate needs none", "auto", virtual + "\treal=10.1.0.1:80 gate\n", machine{}, "ebpf", ""},
		{"loopback", "auto", "virtual=127.0.0.1:80\n\treal=10.1.0.1:80 masq\n", capable, "userspace", "no packet comes from outside to 127.0.0.1"},
		{"PROXY protocol", "auto", virtual + "\treal=10.1.0.1:80 masq\n\tsendproxy=v2\n", capable, "userspace", "ebpf: sendproxy is not supported"},
		{"a queue", "auto", virtual + "\treal=10.1.0.1:80 masq\n\tqueue=9\n\tqueuetimeout=9\n", capable, "userspace", "queue is not supported"},
		{"a mark", "auto", "virtual=7\n\treal=10.1.0.1:80 gate\n\tprotocol=fwm\n", capable, "ipvs", "ebpf: firewall marks are not supported by the ebpf dataplane"},

		{"gate in userspace", "userspace", virtual + "\treal=10.1.0.1:80 gate\n", capable, "",
			"t.cf:2: the userspace dataplane cannot forward by gate: expected masq (ebpf or ipvs can: say --dataplane auto, or dataplane=auto for this service)"},
		{"gate and nothing to do it", "auto", virtual + "\treal=10.1.0.1:80 gate\n", machine{noBPF, noModule, true}, "",
			"t.cf:2: the userspace dataplane cannot forward by gate: expected masq (ebpf: no privilege; ipvs: no module)"},
		{"a mark and nothing to do it", "auto", "virtual=7\n\treal=10.1.0.1:80 masq\n\tprotocol=fwm\n", machine{noBPF, noModule, true}, "",
			"t.cf:1: firewall marks are not supported by the userspace dataplane: expected ADDRESS:PORT, with protocol=tcp or udp (ebpf: firewall marks are"},
		{"what excludes itself", "auto", virtual + "\treal=10.1.0.1:80 gate\n\tacceptproxy=yes\n", capable, "",
			"t.cf:2: the userspace dataplane cannot forward by gate: expected masq (ebpf: acceptproxy is not supported yet by the ebpf dataplane"},
		{"a scheduler flag of the kernel's alone", "ipvs", virtual + "\treal=10.1.0.1:80 gate\n\tmaxconn=5\n", capable, "", "t.cf:3: maxconn is not supported yet by the ipvs dataplane"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, _, _ := c.machine.dataplane(c.flag)
			file := parse(t, c.text)
			if err := lvsproxy.Check(file, d); c.want == "" {
				if err == nil || !strings.Contains(err.Error(), c.why) {
					t.Fatalf("got %v, want %s", err, c.why)
				}
				return
			} else if err != nil {
				t.Fatal(err)
			}
			if got := d.Choose(file.Spec.Virtuals[0]); got.Name != c.want || !strings.Contains(got.Why, c.why) {
				t.Errorf("got %s (%s), want %s (%s)", got.Name, got.Why, c.want, c.why)
			}
		})
	}
}

// TestOpenFails: with auto, what the best cannot open after all goes to the next; what is named is not carried by another.
func TestOpenFails(t *testing.T) {
	file := parse(t, "virtual=10.0.0.1:80\n\treal=10.1.0.1:80 gate\n")
	s, err := service.New(file.Spec.Virtuals[0])
	if err != nil {
		t.Fatal(err)
	}
	refused := errors.New("the verifier says no")
	d, ebpf, ipvs := machine{}.dataplane("auto")
	ebpf.refuse = refused
	if err := d.Open(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	c := d.Carrier(s)
	if again := d.Choose(s.Spec()); c.Name != "ipvs" || again.Name != "ipvs" || c.Why != "ebpf: the verifier says no" {
		t.Errorf("got %+v, and then %+v", c, again)
	}
	d.Close(s)
	if len(ipvs.opened) != 1 || len(ipvs.closed) != 1 || len(ebpf.closed) != 0 {
		t.Errorf("ebpf %+v, ipvs %+v", ebpf, ipvs)
	}
	ipvs.refuse = refused
	if err := d.Open(t.Context(), s); !errors.Is(err, refused) {
		t.Errorf("got %v: userspace cannot take what is left", err)
	}
	d, ebpf, ipvs = machine{}.dataplane("ebpf")
	ebpf.refuse = refused
	if err := d.Open(t.Context(), s); !errors.Is(err, refused) || len(ipvs.opened) > 0 {
		t.Errorf("got %v", err)
	}
}

// TestMoves: a reload that asks for what only another dataplane can do moves the service there, with what the checks know.
func TestMoves(t *testing.T) {
	d, ebpf, ipvs := machine{forwards: true}.dataplane("auto")
	const checked = "virtual=10.0.0.1:80\n\tchecktype=on\n\treal=10.1.0.1:80 gate\n"
	director, err := lvsproxy.New(parse(t, checked), lvsproxy.Options{Dataplane: d})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- director.Run(ctx) }()
	<-director.Ready()
	table := director.Table()
	if v := table[0]; v.Dataplane != "ebpf" || v.DataplaneWhy == "" || len(v.Servers) != 1 {
		t.Errorf("got %+v", v)
	}
	if err := director.Reload(parse(t, checked+"\tdataplane=ipvs\n")); err != nil {
		t.Fatal(err)
	}
	v := director.Table()[0]
	if v.Dataplane != "ipvs" || len(v.Servers) != 1 || v.Servers[0].State != check.Up {
		t.Errorf("got %+v", v)
	}
	if len(ebpf.closed) != 1 || !slices.Equal(ipvs.opened, ebpf.closed) {
		t.Errorf("closed %v, opened %v", ebpf.closed, ipvs.opened)
	}
	if err := director.AddServer(v.ID, netip.MustParseAddrPort("10.1.0.2:80"), service.ServerSettings{Forward: config.Masq, Weight: 1}); err != nil {
		t.Fatal(err)
	}
	if v := director.Table()[0]; v.Dataplane != "ipvs" || len(v.Servers) != 2 {
		t.Errorf("got %+v", v)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
