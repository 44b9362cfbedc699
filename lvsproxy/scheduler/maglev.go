package scheduler

import (
	"math/bits"
	"net/netip"
	"slices"
)

// maglevSize is the number of entries of an mh table, a prime: the kernel's with CONFIG_IP_VS_MH_TAB_INDEX=12, which is
// its default and that of distributions.
const maglevSize = 4093

// LargeTable is the number of entries of an mh table that tells the weights of hundreds of destinations apart. It is a
// prime.
const LargeTable = 65537

// weightBits is how many bits a weight may have in a table: half of those that count its entries, as in the kernel.
func weightBits(size uint32) int { return bits.Len32(size) / 2 }

// The two keys of the kernel's hash, each taken for both halves of a siphash key.
const (
	maglevKey1 = 2654435761
	maglevKey2 = 2654446892
)

// maglev is IPVS's mh (ip_vs_mh.c): the client's address decides, and few clients change their destination when the list
// changes. A destination whose weight becomes 0 keeps its entries, as with its last weight.
type maglev struct {
	table[int16]
	last     []int // each destination's last weight above 0
	size     uint32
	fallback bool // look further where the destination cannot be used (mh-fallback)
	port     bool // the client's port decides too (mh-port)
}

func newMaglev(f Flags) *maglev {
	size := uint32(maglevSize)
	if f.LargeTable {
		size = LargeTable
	}
	return &maglev{size: size, fallback: f.Fallback, port: f.Port}
}

func (*maglev) Name() string { return "mh" }

func (s *maglev) Init(d Destinations) {
	s.stale = true
	s.last = make([]int, d.Len())
	for i := range s.last {
		s.last[i] = d.Weight(i)
	}
}

func (s *maglev) Added(d Destinations, i int) {
	s.stale = true
	s.last = slices.Insert(s.last, i, d.Weight(i))
}

func (s *maglev) Removed(_ Destinations, i int) {
	s.stale = true
	s.last = slices.Delete(s.last, i, i+1)
}

func (s *maglev) Updated(d Destinations, i int) {
	if w := d.Weight(i); w > 0 && w != s.last[i] {
		s.stale = true
		s.last[i] = w
	}
}

func (s *maglev) Next(d Destinations, f Flow) int {
	if len(s.Table(d)) == 0 {
		return None
	}
	port := uint16(0)
	if s.port {
		port = f.Client.Port()
	}
	client := f.Client.Addr()
	hash := maglevHash(client, port, maglevKey1, 0) % s.size
	if i := int(s.entries[hash]); usable(d, i) {
		return i
	}
	if !s.fallback {
		return None
	}
	for offset := range s.size {
		further := (offset + hash) % s.size
		if i := int(s.entries[maglevHash(client, port, maglevKey1, further)%s.size]); usable(d, i) {
			return i
		}
	}
	return None
}

// Table implements [Tabled]. It is empty if no destination ever had a weight.
func (s *maglev) Table(d Destinations) []int16 {
	if s.stale {
		s.populate(d)
	}
	return s.entries
}

// seat is a destination while the table is filled: it takes the first free entry of its own order, turns times in a row.
type seat struct {
	at, skip uint32
	turns    int
}

// populate fills the table, or empties it if no destination ever had a weight.
func (s *maglev) populate(d Destinations) {
	s.stale = false
	seats := s.seats(d)
	if seats == nil {
		s.entries = s.entries[:0]
		return
	}
	const free = -1
	s.entries = slices.Grow(s.entries[:0], int(s.size))[:s.size]
	for i := range s.entries {
		s.entries[i] = free
	}
	for taken := 0; ; {
		for i := range seats {
			seat := &seats[i]
			for range seat.turns {
				for s.entries[seat.at] != free {
					if seat.at += seat.skip; seat.at >= s.size {
						seat.at -= s.size
					}
				}
				s.entries[seat.at] = int16(i)
				if taken++; taken == int(s.size) {
					return
				}
			}
		}
	}
}

func (s *maglev) seats(d Destinations) []seat {
	divisor, most := 0, 0
	for _, w := range s.last {
		if w > 0 {
			divisor, most = gcd(w, divisor), max(most, w)
		}
	}
	if divisor == 0 {
		return nil
	}
	shift := max(bits.Len(uint(most/divisor))-weightBits(s.size), 0)
	seats := make([]seat, len(s.last))
	for i, w := range s.last {
		addr := d.Addr(i)
		seats[i] = seat{
			at:    maglevHash(addr.Addr(), addr.Port(), maglevKey1, 0) % s.size,
			skip:  maglevHash(addr.Addr(), addr.Port(), maglevKey2, 0)%(s.size-1) + 1,
			turns: w / divisor >> shift,
		}
		if w > 0 {
			seats[i].turns = max(seats[i].turns, 1)
		}
	}
	return seats
}

// maglevHash is ip_vs_mh_hashkey.
func maglevHash(a netip.Addr, port uint16, key uint64, offset uint32) uint32 {
	return halfSipHash(offset+uint32(port)+fold(a), key)
}

// halfSipHash is the kernel's hsiphash of one 32 bit word on 64 bit machines: SipHash-1-3, of which the lower half stays.
// Both halves of the key are the same.
func halfSipHash(word uint32, key uint64) uint32 {
	v0, v1 := key^0x736f6d6570736575, key^0x646f72616e646f6d
	v2, v3 := key^0x6c7967656e657261, key^0x7465646279746573
	round := func() {
		v0 += v1
		v1 = bits.RotateLeft64(v1, 13) ^ v0
		v0 = bits.RotateLeft64(v0, 32)
		v2 += v3
		v3 = bits.RotateLeft64(v3, 16) ^ v2
		v0 += v3
		v3 = bits.RotateLeft64(v3, 21) ^ v0
		v2 += v1
		v1 = bits.RotateLeft64(v1, 17) ^ v2
		v2 = bits.RotateLeft64(v2, 32)
	}
	last := uint64(4)<<56 | uint64(word) // the length, and the word
	v3 ^= last
	round()
	v0 ^= last
	v2 ^= 0xff
	round()
	round()
	round()
	return uint32(v0 ^ v1 ^ v2 ^ v3)
}
