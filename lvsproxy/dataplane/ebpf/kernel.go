package ebpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/ebpf/internal/bpf"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// serverName is what a server of the kernel's array is known by.
type serverName struct {
	service uint32
	addr    netip.AddrPort
}

// kernel is what is in the kernel: the programs and the maps. It is not for concurrent use, but for what says so.
type kernel struct {
	pins     *pins
	log      *slog.Logger
	began    time.Time
	closed   bool // guarded by the dataplane's using
	objects  bpf.KernelObjects
	registry *ebpf.Map // the number of each service, also of those that take no new connections
	memory   []byte    // of the map loads
	loads    []bpf.KernelLoad

	services *ids[bpf.KernelServiceKey]
	servers  *ids[serverName]
	written  map[uint32]bpf.KernelServer // what the kernel has of each server
	recalled map[uint32][]uint32         // by service, the servers that a process before this one has left

	tuning  bpf.KernelTuning
	sources []netip.Prefix
	sloppy  bool                // connections may begin in their middle
	own     map[netip.Addr]bool // this machine's addresses, as of the last change of a table

	tallied time.Time
	tallies []bpf.KernelCounts // of each server, as of then
	drift   map[uint32]load    // found by the last sweep
}

// loadKernel loads the programs, with the maps that are pinned, and makes those that are not.
func loadKernel(p *pins, o Options, log *slog.Logger) (*kernel, error) {
	spec, err := bpf.LoadKernel()
	if err != nil {
		return nil, fmt.Errorf("BPF programs: %w", err)
	}
	spec.Maps["registry"] = &ebpf.MapSpec{
		Name: "registry", Type: ebpf.Hash, KeySize: uint32(unsafe.Sizeof(bpf.KernelServiceKey{})), ValueSize: 4,
		MaxEntries: spec.Maps[bpf.KernelMapServices].MaxEntries, Flags: unix.BPF_F_NO_PREALLOC,
	}
	if err := size(p, spec, o, log); err != nil {
		return nil, err
	}
	k := &kernel{
		pins: p, log: log, began: time.Now(), sources: o.TunnelSources, sloppy: o.SloppyTCP,
		written: map[uint32]bpf.KernelServer{}, recalled: map[uint32][]uint32{}, drift: map[uint32]load{},
	}
	options := &ebpf.CollectionOptions{Maps: ebpf.MapOptions{PinPath: p.path()}}
	all := struct {
		*bpf.KernelObjects
		Registry *ebpf.Map `ebpf:"registry"`
	}{KernelObjects: &k.objects}
	if err := spec.LoadAndAssign(&all, options); err != nil {
		var refused *ebpf.VerifierError
		if errors.As(err, &refused) {
			log.Debug("the kernel refuses a program", "verifier", fmt.Sprintf("%+v", refused))
		}
		return nil, fmt.Errorf("load the BPF programs: %w", err)
	}
	k.registry = all.Registry
	if err := k.recall(); err != nil {
		k.close()
		return nil, err
	}
	return k, nil
}

// size says how large maps are, and where they are pinned. Those that are pinned already keep their size.
func size(p *pins, spec *ebpf.CollectionSpec, o Options, log *slog.Logger) error {
	conns, servers := uint32(o.MaxConns), uint32(o.MaxServers)+1
	halves := min(conns, 1<<17)
	sizes := map[string]uint32{
		bpf.KernelMapConns: conns, bpf.KernelMapReplies: conns, bpf.KernelMapTemplates: conns,
		bpf.KernelMapHalves: halves, bpf.KernelMapHalfReplies: halves,
		bpf.KernelMapServers: servers, bpf.KernelMapLoads: servers, bpf.KernelMapTallies: servers,
	}
	for name, m := range spec.Maps {
		if name[0] == '.' || name == bpf.KernelMapDrafts { // constants, and what is forgotten with each packet
			continue
		}
		m.Pinning = ebpf.PinByName
		if n, ok := sizes[name]; ok {
			m.MaxEntries = n
		}
		pinned, err := ebpf.LoadPinnedMap(p.path(name), &ebpf.LoadPinOptions{ReadOnly: true})
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("pinned map %s: %w", name, err)
		}
		if n := pinned.MaxEntries(); n != m.MaxEntries {
			log.Warn("a map keeps the size that it was made with until lvsproxy dataplane detach", "map", name, "has", n, "wanted", m.MaxEntries)
			m.MaxEntries = n
		}
		pinned.Close()
	}
	return nil
}

// recall finds out which numbers are taken, by what a process before this one has left.
func (k *kernel) recall() error {
	most := k.objects.Servers.MaxEntries()
	k.services, k.servers = newIDs[bpf.KernelServiceKey](k.objects.Slots.MaxEntries()), newIDs[serverName](most-1)
	var key bpf.KernelServiceKey
	var id uint32
	all := k.registry.Iterate()
	for all.Next(&key, &id) {
		k.services.found(key, id)
	}
	if err := all.Err(); err != nil {
		return fmt.Errorf("read the registry of services: %w", err)
	}
	k.services.ready()
	servers, err := readArray[bpf.KernelServer](k.objects.Servers, most)
	if err != nil {
		return fmt.Errorf("read the servers: %w", err)
	}
	for id, s := range servers {
		if s.Service != 0 && k.servers.found(serverName{s.Service, addrOf(s.Rip, s.Port)}, uint32(id)) {
			k.written[uint32(id)] = s
			k.recalled[s.Service] = append(k.recalled[s.Service], uint32(id))
		}
	}
	k.servers.ready()
	bytes := int(most) * int(unsafe.Sizeof(bpf.KernelLoad{}))
	page := os.Getpagesize()
	k.memory, err = unix.Mmap(k.objects.Loads.FD(), 0, (bytes+page-1)/page*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map the loads: %w", err)
	}
	k.loads = unsafe.Slice((*bpf.KernelLoad)(unsafe.Pointer(&k.memory[0])), most)
	return nil
}

// readArray reads the first elements of an array.
func readArray[T any](m *ebpf.Map, n uint32) ([]T, error) {
	values, keys := make([]T, n), make([]uint32, n)
	var cursor ebpf.MapBatchCursor
	read, err := m.BatchLookup(&cursor, keys, values, nil)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil, err
	}
	return values[:read], nil
}

// close lets go of programs and maps, which go on as they are pinned or attached, and of the folder.
func (k *kernel) close() {
	k.closed = true
	if k.memory != nil {
		unix.Munmap(k.memory)
		k.memory, k.loads = nil, nil
	}
	k.objects.Close()
	k.registry.Close()
	k.pins.close()
}

// hooks says where the programs belong.
func (k *kernel) hooks() []hook {
	return []hook{{"ingress", ebpf.AttachTCXIngress, netlink.HANDLE_MIN_INGRESS, k.objects.Ingress}}
}

// setTimeouts sets how long connections last in each state: the three that can be set, and those of ip_vs_proto_tcp.c.
func (k *kernel) setTimeouts(t service.Timeouts) error {
	for state, lasts := range map[bpf.KernelState]time.Duration{
		bpf.KernelStateSTATE_NONE:        2 * time.Second,
		bpf.KernelStateSTATE_ESTABLISHED: t.TCP,
		bpf.KernelStateSTATE_SYN_SENT:    2 * time.Minute,
		bpf.KernelStateSTATE_SYN_RECV:    time.Minute,
		bpf.KernelStateSTATE_FIN_WAIT:    t.TCPFin,
		bpf.KernelStateSTATE_TIME_WAIT:   2 * time.Minute,
		bpf.KernelStateSTATE_CLOSE:       10 * time.Second,
		bpf.KernelStateSTATE_CLOSE_WAIT:  time.Minute,
		bpf.KernelStateSTATE_LAST_ACK:    30 * time.Second,
		bpf.KernelStateSTATE_LISTEN:      2 * time.Minute,
		bpf.KernelStateSTATE_SYNACK:      2 * time.Minute,
		bpf.KernelStateSTATE_UDP:         t.UDP,
	} {
		k.tuning.Timeouts[state] = uint64(lasts)
	}
	return k.tune()
}

func (k *kernel) tune() error {
	if err := k.objects.Settings.Put(uint32(0), k.tuning); err != nil {
		return fmt.Errorf("write the settings: %w", err)
	}
	return nil
}

// setSource says what a tunnel to an address comes from, unless that is known: what was asked for, or else the address that the
// machine itself would speak to it from.
func (k *kernel) setSource(to netip.Addr) error {
	outer, vary := &k.tuning.Outer, &k.tuning.Vary
	if to.Is6() {
		outer, vary = &k.tuning.Outer6, &k.tuning.Vary6
	}
	if *outer != (bpf.KernelAddress{}) {
		return nil
	}
	for _, p := range k.sources {
		if p.Addr().Is6() == to.Is6() {
			*outer = addressOf(p.Addr())
			*vary = uint32(1)<<min(31, p.Addr().BitLen()-p.Bits()) - 1
			return k.tune()
		}
	}
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, 9))) // sends nothing
	if err != nil {
		return fmt.Errorf("no address to send tunnels from: %w", err)
	}
	defer c.Close()
	*outer = addressOf(c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap())
	return k.tune()
}

// network puts a port into the order of the network.
func network(port uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], port)
	return binary.NativeEndian.Uint16(b[:])
}

func addrOf(a bpf.KernelAddress, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(a.Bytes).Unmap(), network(port))
}

func addressOf(a netip.Addr) bpf.KernelAddress { return bpf.KernelAddress{Bytes: a.As16()} }

func protocolOf(p config.Protocol) uint8 {
	if p == config.UDP {
		return unix.IPPROTO_UDP
	}
	return unix.IPPROTO_TCP
}

func keyOf(id config.VirtualID) bpf.KernelServiceKey {
	return bpf.KernelServiceKey{Vip: addressOf(id.Addr.Addr()), Port: network(id.Addr.Port()), Protocol: protocolOf(id.Protocol)}
}

// front returns what is to be a service's in the kernel. One that was there goes on with its numbers.
func (k *kernel) front(s *service.Service, before *front) (*front, error) {
	key := keyOf(s.ID())
	id, ok := k.services.take(key)
	if !ok {
		return nil, fmt.Errorf("the kernel has room for %d virtual services", k.objects.Slots.MaxEntries())
	}
	if err := k.registry.Put(key, id); err != nil {
		return nil, fmt.Errorf("register the service: %w", err)
	}
	if err := k.expect(s.ID().Addr.Port()); err != nil {
		return nil, err
	}
	f := &front{service: s, id: id, servers: map[netip.AddrPort]uint32{}, listed: map[uint32]bool{}}
	var there bpf.KernelService
	f.taken = k.objects.Services.Lookup(key, &there) == nil
	for _, server := range k.recalled[id] {
		value := k.written[server]
		f.servers[addrOf(value.Rip, value.Port)] = server
		f.listed[server] = true // as far as is known
	}
	delete(k.recalled, id)
	if before != nil {
		for addr, server := range before.servers { // they are the other's now
			before.service.SetCounts(addr, service.Counts{})
			f.servers[addr], f.listed[server] = server, true
		}
	}
	return f, nil
}

// expect has what is sent to a port looked for among the connections of clients first; port 0 stands for all.
func (k *kernel) expect(port uint16) error {
	table := k.objects.VirtualPorts
	if port == 0 {
		for word := range table.MaxEntries() {
			if err := table.Put(word, ^uint64(0)); err != nil {
				return fmt.Errorf("note the ports of a service: %w", err)
			}
		}
		return nil
	}
	word, bits := uint32(port/64), uint64(0)
	if err := table.Lookup(word, &bits); err != nil {
		return fmt.Errorf("read the ports of services: %w", err)
	}
	if err := table.Put(word, bits|1<<(port%64)); err != nil {
		return fmt.Errorf("note the port of a service: %w", err)
	}
	return nil
}

// closeFront has a service take no new connections.
func (k *kernel) closeFront(f *front) error {
	f.closed = true
	if err := k.objects.Services.Delete(keyOf(f.service.ID())); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return err
	}
	return nil
}

// putServer writes what a server is and may get, and returns its number.
func (k *kernel) putServer(f *front, s service.ServerSnapshot) (id uint32, err error) {
	if s.Forward == config.IPIP {
		if t := s.Tunnel.Type; t != "" && t != "ipip" {
			return 0, fmt.Errorf("tunnels of type %s are not supported by the ebpf dataplane: expected ipip", t)
		}
		if err := k.setSource(s.Addr.Addr()); err != nil {
			return 0, err
		}
	}
	name := serverName{f.id, s.Addr}
	_, known := k.servers.of[name]
	id, ok := k.servers.take(name)
	if !ok {
		return 0, fmt.Errorf("the kernel has room for %d servers (give more by --bpf-max-servers, after lvsproxy dataplane detach)", k.servers.max)
	}
	if !known {
		zero := make([]bpf.KernelCounts, ebpf.MustPossibleCPU())
		if err := k.objects.Tallies.Put(id, zero); err != nil {
			return 0, err
		}
		k.loads[id] = bpf.KernelLoad{}
	}
	f.servers[s.Addr] = id
	forward := k.forwardOf(s, f.service.ID().Addr.Port())
	if forward == uint8(bpf.KernelForwardFORWARD_MASQ) && k.isLocal(s.Addr.Addr()) && s.Weight > 0 {
		k.log.Warn("a server on this machine gets nothing: masq to it cannot change the port; give it the virtual service's",
			"virtual", f.service.ID().Name(), "server", s.Addr)
		s.Weight = 0
	}
	value := bpf.KernelServer{
		Rip: addressOf(s.Addr.Addr()), Port: network(s.Addr.Port()), Forward: forward, Service: f.id,
		Weight: uint32(s.Weight), Upper: uint32(s.Upper), Lower: uint32(s.Lower),
	}
	return id, k.write(id, value)
}

func (k *kernel) write(id uint32, value bpf.KernelServer) error {
	if k.written[id] == value {
		return nil
	}
	if err := k.objects.Servers.Put(id, value); err != nil {
		return err
	}
	k.written[id] = value
	return nil
}

// forwardOf returns how packets come to a server of a service at a port. As in IPVS, one of this machine's own addresses gets
// them without being forwarded, so it must listen at the VIP.
func (k *kernel) forwardOf(s service.ServerSnapshot, port uint16) uint8 {
	local := k.isLocal(s.Addr.Addr())
	switch {
	case local && (s.Forward != config.Masq || s.Addr.Port() == port):
		return uint8(bpf.KernelForwardFORWARD_LOCAL)
	case s.Forward == config.Masq:
		return uint8(bpf.KernelForwardFORWARD_MASQ)
	case s.Forward == config.IPIP:
		return uint8(bpf.KernelForwardFORWARD_IPIP)
	}
	return uint8(bpf.KernelForwardFORWARD_GATE)
}

// lookAround finds out which addresses are this machine's now. It keeps what was known if the kernel does not say.
func (k *kernel) lookAround() {
	all, err := net.InterfaceAddrs()
	if err != nil {
		k.log.Warn("this machine's addresses are not known", "error", err)
		return
	}
	k.own = map[netip.Addr]bool{}
	for _, one := range all {
		if n, ok := one.(*net.IPNet); ok {
			if own, valid := netip.AddrFromSlice(n.IP); valid {
				k.own[own.Unmap()] = true
			}
		}
	}
}

// isLocal reports whether an address is one of this machine's.
func (k *kernel) isLocal(a netip.Addr) bool { return a.IsLoopback() || k.own[a] }

// unlistServer has a server get no new connections.
func (k *kernel) unlistServer(id uint32) error {
	value, ok := k.written[id]
	if !ok {
		return nil
	}
	value.Weight = 0
	return k.write(id, value)
}

// The first elements of a service's array.
const (
	slotCount  = 0
	slotCursor = 1
	slotFirst  = 2
)

// newSlots makes an array of slots, which are indexes in numbers, those of servers.
func newSlots(numbers []uint32, slots []int32) (*ebpf.Map, error) {
	values := make([]uint32, slotFirst+len(slots))
	keys := make([]uint32, len(values))
	values[slotCount] = uint32(len(slots))
	for i, at := range slots {
		values[slotFirst+i] = numbers[at]
	}
	for i := range keys {
		keys[i] = uint32(i)
	}
	array, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "slots", Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: uint32(len(values)), Flags: unix.BPF_F_INNER_MAP,
	})
	if err != nil {
		return nil, fmt.Errorf("make the slots: %w", err)
	}
	if _, err := array.BatchUpdate(keys, values, nil); err != nil {
		array.Close()
		return nil, fmt.Errorf("fill the slots: %w", err)
	}
	return array, nil
}

// picks returns how many picks were made from a service's slots.
func (k *kernel) picks(id uint32) uint64 {
	var array *ebpf.Map
	if err := k.objects.Slots.Lookup(id, &array); err != nil {
		return 0 // there are none yet
	}
	defer array.Close()
	var n uint32
	if err := array.Lookup(uint32(slotCursor), &n); err != nil {
		return 0
	}
	return uint64(n)
}

// putService writes what a service says.
func (k *kernel) putService(id uint32, s service.Snapshot) error {
	value := bpf.KernelService{
		Id: id, Scheduler: schedulerOf(s.Scheduler), Flags: k.flagsOf(s), Persistence: uint32(s.Persistence.Timeout / time.Second),
		Netmask: uint32(s.Persistence.Netmask),
	}
	if s.ID.Addr.Addr().Is4() {
		value.Netmask += 96 // of the 128 bits of an address of IPv4 that is mapped
	}
	if err := k.objects.Services.Put(keyOf(s.ID), value); err != nil {
		return fmt.Errorf("put the service: %w", err)
	}
	return nil
}

func schedulerOf(name string) uint32 {
	return uint32(map[string]bpf.KernelScheduler{
		"rr": bpf.KernelSchedulerSCHEDULER_CYCLE, "wrr": bpf.KernelSchedulerSCHEDULER_CYCLE,
		"sh": bpf.KernelSchedulerSCHEDULER_SH, "mh": bpf.KernelSchedulerSCHEDULER_MH,
		"lc": bpf.KernelSchedulerSCHEDULER_LC, "wlc": bpf.KernelSchedulerSCHEDULER_WLC,
		"sed": bpf.KernelSchedulerSCHEDULER_SED, "nq": bpf.KernelSchedulerSCHEDULER_NQ,
	}[name])
}

// Drops implements [service.Dropper].
func (d *Dataplane) Drops() map[string]uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.kernel == nil {
		return nil
	}
	return d.kernel.drops()
}

// drops are named by what happened.
func (k *kernel) drops() map[string]uint64 {
	drops := map[string]uint64{}
	for reason, name := range map[bpf.KernelDrop]string{
		bpf.KernelDropDROP_NO_SERVER: "no server",
		bpf.KernelDropDROP_MALFORMED: "malformed",
		bpf.KernelDropDROP_FRAGMENT:  "fragment",
		bpf.KernelDropDROP_TOO_BIG:   "too big",
		bpf.KernelDropDROP_NO_ROUTE:  "no route",
		bpf.KernelDropDROP_STALE:     "stale",
		bpf.KernelDropDROP_TTL:       "ttl",
		bpf.KernelDropDROP_FULL:      "full",
	} {
		var each []uint64
		if err := k.objects.Drops.Lookup(uint32(reason), &each); err != nil {
			continue
		}
		sum := uint64(0)
		for _, n := range each {
			sum += n
		}
		drops[name] = sum
	}
	return drops
}
