package ebpf

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/ebpf/internal/bpf"
	"github.com/lvsession/lvsession/lvsproxy/scheduler"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// tallyAge is how old the counts of traffic may be that are told.
const tallyAge = 500 * time.Millisecond

// tally reads what all servers were sent and have sent, unless it was just read.
func (k *kernel) tally() error {
	if time.Since(k.tallied) < tallyAge {
		return nil
	}
	cpus := ebpf.MustPossibleCPU()
	n := int(k.servers.size())
	values, keys := make([]bpf.KernelCounts, n*cpus), make([]uint32, n)
	var cursor ebpf.MapBatchCursor
	read, err := k.objects.Tallies.BatchLookup(&cursor, keys, values, nil)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return err
	}
	k.tallies = make([]bpf.KernelCounts, n)
	for i := range read {
		sum := &k.tallies[i]
		for _, c := range values[i*cpus : (i+1)*cpus] {
			sum.Conns += c.Conns
			sum.InPackets += c.InPackets
			sum.OutPackets += c.OutPackets
			sum.InBytes += c.InBytes
			sum.OutBytes += c.OutBytes
		}
	}
	k.tallied = time.Now()
	return nil
}

// count tells a service what its servers have.
func (k *kernel) count(f *front) {
	if err := k.tally(); err != nil {
		k.log.Warn("the counts of servers cannot be read", "error", err)
		return
	}
	for addr, id := range f.servers {
		if int(id) >= len(k.tallies) {
			continue // it has just come
		}
		l, t := &k.loads[id], k.tallies[id]
		f.service.SetCounts(addr, service.Counts{
			Active: max(0, atomic.LoadInt64(&l.Active)), Inactive: max(0, atomic.LoadInt64(&l.Inactive)),
			Persistent: max(0, atomic.LoadInt64(&l.Persistent)), Conns: t.Conns,
			Traffic: service.Traffic{InPackets: t.InPackets, OutPackets: t.OutPackets, InBytes: t.InBytes, OutBytes: t.OutBytes},
		})
	}
}

// flagsOf returns what else the programs have to know of a service.
func (k *kernel) flagsOf(s service.Snapshot) (flags uint32) {
	if k.sloppy {
		flags |= uint32(bpf.KernelServiceFlagSERVICE_SLOPPY)
	}
	if s.OnePacket && s.ID.Protocol == config.UDP {
		flags |= uint32(bpf.KernelServiceFlagSERVICE_ONE_PACKET)
	}
	of, err := scheduler.ParseFlags(s.SchedFlags)
	if err != nil {
		return flags // newPool has refused them
	}
	if of.Fallback {
		flags |= uint32(bpf.KernelServiceFlagSERVICE_FALLBACK)
	}
	if of.Port {
		flags |= uint32(bpf.KernelServiceFlagSERVICE_PORT)
	}
	return flags
}
