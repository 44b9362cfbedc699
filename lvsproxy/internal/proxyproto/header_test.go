package proxyproto

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	addr := netip.MustParseAddrPort
	four := Header{addr("192.0.2.7:56324"), addr("172.16.1.11:443")}
	six := Header{addr("[2001:db8::7]:1"), addr("[2001:db8::1]:65535")}
	const v2 = "\r\n\r\n\x00\r\nQUIT\n"
	tests := []struct {
		name string
		in   string
		want Header
		size int
		err  error
	}{
		{"v1, IPv4", "PROXY TCP4 192.0.2.7 172.16.1.11 56324 443\r\nGET /", four, 44, nil},
		{"v1, IPv6", "PROXY TCP6 2001:db8::7 2001:db8::1 1 65535\r\n", six, 44, nil},
		{"v1, unknown", "PROXY UNKNOWN\r\n", Header{}, 15, nil},
		{"v1, unknown with more", "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", Header{}, 35, nil},
		{"v1, half", "PROXY TCP4 192.0.2.7 172.16.1.11 563", Header{}, 0, ErrShort},
		{"v1, CR without LF", "PROXY UNKNOWN\r", Header{}, 0, ErrShort},
		{"v1, too long", "PROXY UNKNOWN " + strings.Repeat("x", 100) + "\r\n", Header{}, 0, ErrInvalid},
		{"v1, wrong family", "PROXY TCP6 192.0.2.7 172.16.1.11 56324 443\r\n", Header{}, 0, ErrInvalid},
		{"v1, no port", "PROXY TCP4 192.0.2.7 172.16.1.11 56324 65536\r\n", Header{}, 0, ErrInvalid},
		{"v1, leading zero", "PROXY TCP4 192.0.2.7 172.16.1.11 0563 443\r\n", Header{}, 0, ErrInvalid},
		{"v1, two spaces", "PROXY  TCP4 192.0.2.7 172.16.1.11 56324 443\r\n", Header{}, 0, ErrInvalid},
		{"v2, IPv4", v2 + "\x21\x11\x00\x0c\xc0\x00\x02\x07\xac\x10\x01\x0b\xdc\x04\x01\xbbGET", four, 28, nil},
		{"v2, with extensions", v2 + "\x21\x11\x00\x10\xc0\x00\x02\x07\xac\x10\x01\x0b\xdc\x04\x01\xbb\x04\x00\x01x", four, 32, nil},
		{"v2, local", v2 + "\x20\x11\x00\x0c\xc0\x00\x02\x07\xac\x10\x01\x0b\xdc\x04\x01\xbb", Header{}, 28, nil},
		{"v2, a Unix socket", v2 + "\x21\x31\x00\x02ab", Header{}, 18, nil},
		{"v2, addresses too short", v2 + "\x21\x11\x00\x02ab", Header{}, 0, ErrInvalid},
		{"v2, version 3", v2 + "\x31\x11\x00\x00", Header{}, 0, ErrInvalid},
		{"v2, too long", v2 + "\x21\x11\xff\xff", Header{}, 0, ErrInvalid},
		{"v2, half", v2 + "\x21\x11\x00\x0c\xc0", Header{}, 0, ErrShort},
		{"v2, part of the signature", v2[:5], Header{}, 0, ErrShort},
		{"nothing", "", Header{}, 0, ErrShort},
		{"HTTP", "GET / HTTP/1.0\r\n\r\n", Header{}, 0, ErrInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, size, err := Parse([]byte(tt.in))
			if h != tt.want || size != tt.size || !errors.Is(err, tt.err) {
				t.Errorf("got %v, %d, %v; want %v, %d, %v", h, size, err, tt.want, tt.size, tt.err)
			}
		})
	}
}

// TestRoundTrip: what was written is read, in any number of portions, and what follows is left alone.
func TestRoundTrip(t *testing.T) {
	addrPort := func(four bool) *rapid.Generator[netip.AddrPort] {
		return rapid.Custom(func(t *rapid.T) netip.AddrPort {
			b := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "address")
			addr := netip.AddrFrom16([16]byte(b)).Unmap()
			if four {
				addr = netip.AddrFrom4([4]byte(b[:4]))
			}
			return netip.AddrPortFrom(addr, rapid.Uint16().Draw(t, "port"))
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		four := rapid.Bool().Draw(t, "IPv4")
		h := Header{addrPort(four).Draw(t, "source"), addrPort(four).Draw(t, "destination")}
		if rapid.Bool().Draw(t, "local") {
			h = Header{}
		}
		b := h.Append(nil, rapid.IntRange(1, 2).Draw(t, "version"))
		size := len(b)
		b = append(b, rapid.SliceOf(rapid.Byte()).Draw(t, "what follows")...)
		for n := range size {
			if _, _, err := Parse(b[:n]); !errors.Is(err, ErrShort) {
				t.Fatalf("the first %d bytes: %v", n, err)
			}
		}
		if got, n, err := Parse(b); got != h || n != size || err != nil {
			t.Fatalf("got %v, %d, %v; want %v, %d", got, n, err, h, size)
		}
	})
}

func FuzzParse(f *testing.F) {
	h := Header{netip.MustParseAddrPort("192.0.2.7:1"), netip.MustParseAddrPort("172.16.1.11:80")}
	f.Add(h.Append(nil, 1))
	f.Add(h.Append(nil, 2))
	f.Add(Header{}.Append(nil, 2))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, size, err := Parse(b)
		if err != nil {
			if !errors.Is(err, ErrShort) && !errors.Is(err, ErrInvalid) || errors.Is(err, ErrShort) && len(b) > MaxSize {
				t.Fatalf("%v of %d bytes", err, len(b))
			}
			return
		}
		if size > len(b) || size > MaxSize {
			t.Fatalf("%d bytes of %d", size, len(b))
		}
		for version := 1; version <= 2; version++ {
			if again, _, err := Parse(h.Append(nil, version)); err != nil || again != h {
				t.Fatalf("version %d: %v became %v, %v", version, h, again, err)
			}
		}
	})
}
