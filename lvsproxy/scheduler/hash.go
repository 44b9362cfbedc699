package scheduler

import (
	"encoding/binary"
	"net/netip"
)

// buckets is how many an sh or dh table has (IP_VS_SH_TAB_BITS 8).
const (
	bucketBits = 8
	buckets    = 1 << bucketBits
)

// hash32 is the kernel's hash_32: multiplication by the golden ratio, of which the highest bits stay.
func hash32(v uint32, bits int) uint32 { return v * 0x61C88647 >> (32 - bits) }

// fold makes 32 bits of an address as IPVS does: the address itself, or the four words of an IPv6 address by exclusive or.
func fold(a netip.Addr) uint32 {
	if a.Is4() {
		b := a.As4()
		return binary.BigEndian.Uint32(b[:])
	}
	b := a.As16()
	return binary.BigEndian.Uint32(b[:]) ^ binary.BigEndian.Uint32(b[4:]) ^ binary.BigEndian.Uint32(b[8:]) ^ binary.BigEndian.Uint32(b[12:])
}

// table is the assignment of hash values to destinations. It is made anew, when it is next needed, after the list has
// changed: many changes in a row, as at the start of a director, cost no more than one.
type table[E any] struct {
	entries []E
	stale   bool
}

func (t *table[E]) Init(Destinations)         { t.stale = true }
func (t *table[E]) Added(Destinations, int)   { t.stale = true }
func (t *table[E]) Removed(Destinations, int) { t.stale = true }
func (t *table[E]) Updated(Destinations, int) { t.stale = true }

// sourceHashing is IPVS's sh (ip_vs_sh.c): the client's address decides. Each destination has as many of the 256 buckets
// in a row as its weight, the list going round until all are taken.
type sourceHashing struct {
	table[int16]
	fallback bool // look further where the destination cannot be used (sh-fallback)
	port     bool // the client's port decides too (sh-port)
}

func (*sourceHashing) Name() string { return "sh" }

func (s *sourceHashing) Next(d Destinations, f Flow) int {
	if d.Len() == 0 {
		return None
	}
	s.Table(d)
	key := fold(f.Client.Addr())
	if s.port {
		key += uint32(f.Client.Port())
	}
	hash := hash32(key, bucketBits)
	if i := int(s.entries[hash]); usable(d, i) {
		return i
	}
	if !s.fallback {
		return None
	}
	// The kernel goes on at the hash of hash+offset, for every offset.
	for offset := range uint32(buckets) {
		further := (offset + hash) % buckets
		if i := int(s.entries[(further+hash)%buckets]); usable(d, i) {
			return i
		}
	}
	return None
}

// Table implements [Tabled]. It is empty while there is no destination.
func (s *sourceHashing) Table(d Destinations) []int16 {
	if d.Len() == 0 {
		return nil
	}
	if s.stale {
		s.assign(d)
	}
	return s.entries
}

func (s *sourceHashing) assign(d Destinations) {
	if s.entries == nil {
		s.entries = make([]int16, buckets)
	}
	i, taken := 0, 0
	for b := range s.entries {
		s.entries[b] = int16(i)
		if taken++; taken >= d.Weight(i) { // a destination of weight 0 has a bucket too
			i, taken = (i+1)%d.Len(), 0
		}
	}
	s.stale = false
}

// destinationHashing is IPVS's dh (ip_vs_dh.c): the address that the client connects to decides. The destinations take
// the 256 buckets in turn, whatever their weights.
type destinationHashing struct{ looking }

func (*destinationHashing) Name() string { return "dh" }

func (*destinationHashing) Next(d Destinations, f Flow) int {
	n := d.Len()
	if n == 0 {
		return None
	}
	if i := int(hash32(fold(f.VIP.Addr()), bucketBits)) % n; usable(d, i) {
		return i
	}
	return None
}
