package service

import (
	"fmt"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/lvsession/lvsession/lvsproxy/check"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/scheduler"
)

// allUp is a service whose servers are all up.
func allUp(t testing.TB, v config.Virtual) *Service {
	t.Helper()
	s := mustNew(t, v)
	for _, r := range v.Reals {
		s.SetState(r.Addr, check.Up, "")
	}
	return s
}

// limited is a Spec with one server with these thresholds.
func limited(lower, upper int) config.Virtual {
	v := virtual("rr", 1)
	v.Reals[0].Lower, v.Reals[0].Upper = lower, upper
	return v
}

// TestThresholds opens and closes connections, and says after each whether the server takes another.
func TestThresholds(t *testing.T) {
	tests := []struct {
		lower, upper int
		conns        string // + opens one, - closes one
		takes        string // y or n after each
	}{
		{0, 0, "++++----", "yyyyyyyy"},
		{0, 2, "++-+--", "ynynyy"},           // below 1.5
		{0, 4, "++++-----", "yyynnyyyy"},     // 3 is not below 3
		{1, 2, "++--", "ynny"},               // below 1
		{2, 3, "+++--", "yynny"},             // below 2
		{3, 3, "+++-", "yyny"},               // below 3
		{0, 1, "+-", "ny"},                   //
		{0, 8, "++++++++---", "yyyyyyynnny"}, // below 6
		{0, 8, "++++++++--+---", "yyyyyyynnnnnyy"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.lower, tt.upper, tt.conns), func(t *testing.T) {
			s := allUp(t, limited(tt.lower, tt.upper))
			server := s.servers[addr(1)]
			open := 0
			got := ""
			for _, c := range tt.conns {
				switch {
				case c == '+':
					server.Opening()
					server.Established()
					open++
				case open > 0:
					server.Closed(false)
					open--
				}
				if s.Pick(scheduler.Flow{}, nil) != nil {
					got += "y"
				} else {
					got += "n"
				}
			}
			if got != tt.takes {
				t.Errorf("got %s, want %s", got, tt.takes)
			}
		})
	}
}

// TestThresholdsChange: another upper threshold counts at once.
func TestThresholdsChange(t *testing.T) {
	s := allUp(t, limited(0, 1))
	server := s.servers[addr(1)]
	server.Opening()
	update := func(upper int, want bool) {
		t.Helper()
		if _, err := s.Update(limited(0, upper)); err != nil {
			t.Fatal(err)
		}
		if got := s.Pick(scheduler.Flow{}, nil) != nil; got != want {
			t.Errorf("upper %d: takes connections: %v", upper, got)
		}
	}
	update(1, false)
	update(3, true)
	update(1, false)
	update(2, true)
	server.Opening()
	update(2, false)
	update(1, false)
	update(0, true)
}

// kernelLimit is the kernel's bookkeeping, as an oracle.
type kernelLimit struct {
	lower, upper, total int
	overload            bool
}

func (k *kernelLimit) bind() {
	if k.total++; k.upper != 0 && k.total >= k.upper {
		k.overload = true
	}
}

func (k *kernelLimit) unbind() {
	k.total--
	switch {
	case k.lower != 0:
		if k.total < k.lower {
			k.overload = false
		}
	case k.upper != 0:
		if k.total*4 < k.upper*3 {
			k.overload = false
		}
	default:
		k.overload = false
	}
}

func TestThresholdsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		upper := rapid.IntRange(0, 9).Draw(t, "upper")
		k := kernelLimit{lower: rapid.IntRange(0, upper).Draw(t, "lower"), upper: upper}
		s, err := New(limited(k.lower, k.upper))
		if err != nil {
			t.Fatal(err)
		}
		s.SetState(addr(1), check.Up, "")
		server := s.servers[addr(1)]
		t.Repeat(map[string]func(*rapid.T){
			"open": func(*rapid.T) { server.Opening(); k.bind() },
			"fail": func(t *rapid.T) {
				if k.total == 0 {
					t.Skip()
				}
				server.Failed()
				k.unbind()
			},
			"": func(t *rapid.T) {
				if got := s.Pick(scheduler.Flow{}, nil) == nil; got != k.overload {
					t.Fatalf("overloaded: %v, want %+v", got, k)
				}
			},
		})
	})
}

// client is a flow from client n.
func client(n int) scheduler.Flow {
	a := netip.AddrFrom4([4]byte{10, 2, byte(n >> 8), byte(n)})
	return scheduler.Flow{Client: netip.AddrPortFrom(a, 4000), VIP: vip.Addr}
}
