package sessionstore

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"
)

// TestPack: what is packed comes back, is never longer, and is packed only from the threshold on.
func TestPack(t *testing.T) {
	c := newCompressor()
	rapid.Check(t, func(t *rapid.T) {
		payload := bytes.Repeat(rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "part"), rapid.IntRange(0, 50).Draw(t, "times"))
		threshold := rapid.IntRange(0, 5000).Draw(t, "threshold")
		packed, encoding, err := c.pack(payload, threshold)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case len(packed) > len(payload), encoding == Plain && !bytes.Equal(packed, payload):
			t.Fatalf("%d bytes became %d, encoding %d", len(payload), len(packed), encoding)
		case encoding != Plain && (threshold == 0 || len(payload) < threshold || len(packed) == len(payload)):
			t.Fatalf("%d bytes became %d with a threshold of %d", len(payload), len(packed), threshold)
		}
		s, err := c.unpack(Session{Payload: packed, Encoding: encoding, Version: 3})
		if err != nil || !bytes.Equal(s.Payload, payload) || s.Encoding != Plain || s.Version != 3 {
			t.Fatalf("%d bytes came back as %d, %v", len(payload), len(s.Payload), err)
		}
	})
}

// bomb is n zeros, compressed to a few bytes.
func bomb(t testing.TB, n int) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(make([]byte, n), nil)
}

// TestUnpackIsBounded: stored bytes, however they came there, cannot make more than a payload of the largest size.
func TestUnpackIsBounded(t *testing.T) {
	c := newCompressor()
	if s, err := c.unpack(Session{Payload: bomb(t, MaxPayload), Encoding: Zstd}); err != nil || len(s.Payload) != MaxPayload {
		t.Fatalf("the largest payload: %d bytes, %v", len(s.Payload), err)
	}
	frame := bomb(t, MaxPayload)
	for name, s := range map[string]Session{
		"a bomb":                      {Payload: bomb(t, MaxPayload+1), Encoding: Zstd},
		"a larger one":                {Payload: bomb(t, 64<<20), Encoding: Zstd},
		"many frames":                 {Payload: bytes.Repeat(frame, 20), Encoding: Zstd},
		"half a frame":                {Payload: frame[:len(frame)/2], Encoding: Zstd},
		"no frame":                    {Payload: []byte("name|s:5:\"alice\";"), Encoding: Zstd},
		"an encoding to be conceived": {Payload: []byte("x"), Encoding: 9},
	} {
		got, err := c.unpack(s)
		if !errors.Is(err, ErrUnavailable) || got.Payload != nil {
			t.Errorf("%s: %d bytes, %v", name, len(got.Payload), err)
		}
	}
}

// FuzzUnpack: no bytes make a payload over the limit, or a panic.
func FuzzUnpack(f *testing.F) {
	c := newCompressor()
	packed, _, err := c.pack([]byte(strings.Repeat("basket;", 100)), 1)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packed)
	f.Add(bomb(f, 2*MaxPayload))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := c.unpack(Session{Payload: b, Encoding: Zstd}); err == nil && len(s.Payload) > MaxPayload {
			t.Errorf("%d bytes make %d", len(b), len(s.Payload))
		}
	})
}
