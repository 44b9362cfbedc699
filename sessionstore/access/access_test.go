package access

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestSecrets(t *testing.T) {
	var s Secrets
	if !s.Open() || !s.Allows("shop", nil) {
		t.Error("without secrets everything is open")
	}
	err := s.Read(strings.NewReader("# two of one\nshop = one\nshop=t=w o\n\nblog=three\nnews=one\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		namespace, shown string
		want             bool
	}{
		{"shop", "one", true}, {"shop", "t=w o", true}, {"blog", "three", true}, {"shop", "three", false},
		{"blog", "one", false}, {"shop", "", false}, {"other", "one", false}, {"news", "one", true},
	} {
		if got := s.Allows(c.namespace, []byte(c.shown)); got != c.want {
			t.Errorf("%s with %q: %v", c.namespace, c.shown, got)
		}
	}
	if ns, ok := s.Of([]byte("one")); !ok || ns != "shop" {
		t.Errorf("of: %q, %v", ns, ok)
	}
	if _, ok := s.Of([]byte("four")); ok {
		t.Error("a secret of nobody's is somebody's")
	}
	if s.Guards("other") || !s.Guards("blog") {
		t.Error("guards")
	}
}

func TestSecretsAreNotRepeated(t *testing.T) {
	var s Secrets
	for _, text := range []string{"hush", "sh op=hush", "=hush", "shop=", "shop=" + strings.Repeat("hush", 65)} {
		err := s.Read(strings.NewReader("\n" + text))
		if err == nil || strings.Contains(err.Error(), "hush") || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

func TestRate(t *testing.T) {
	now := time.Unix(1000, 0)
	r := &Rate{PerSecond: 2, Now: func() time.Time { return now }}
	a, b := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::ffff:127.0.0.2")
	create := func(a netip.Addr) bool {
		if _, exhausted := r.Exhausted(a); exhausted {
			return false
		}
		r.Charge(a)
		return true
	}
	for i := range 20 {
		if !create(a) {
			t.Fatalf("creation %d was refused", i)
		}
	}
	if create(a) || !create(b) {
		t.Error("ten seconds' worth are for one address")
	}
	if wait, _ := r.Exhausted(a); wait != time.Second/2 {
		t.Errorf("wait %v", wait)
	}
	now = now.Add(time.Second / 2)
	if !create(a) || create(a) {
		t.Error("half a second is worth one creation")
	}
	one, other := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	for range 20 {
		create(one)
	}
	if create(other) {
		t.Error("one /64 is one client")
	}
	for _, none := range []*Rate{nil, {}} {
		none.Charge(a)
		if _, exhausted := none.Exhausted(a); exhausted {
			t.Error("no limit refuses")
		}
	}
}

func TestRateForgets(t *testing.T) {
	now := time.Unix(1000, 0)
	r := &Rate{PerSecond: 1, Now: func() time.Time { return now }}
	for i := range maxAddresses + 10 {
		r.Charge(netip.MustParseAddr(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)))
	}
	if n := len(r.buckets); n > maxAddresses {
		t.Errorf("%d addresses are remembered", n)
	}
}
