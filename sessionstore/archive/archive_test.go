package archive_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/archive"
)

func anySession(t *rapid.T) (s sessionstore.Session) {
	at := func(name string) time.Time { return time.UnixMilli(rapid.Int64Range(1, 1<<42).Draw(t, name)) }
	copy(s.Key[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key"))
	s.Key[0] |= 1
	copy(s.Subject[:], rapid.SliceOfN(rapid.Byte(), 0, 32).Draw(t, "subject"))
	s.Version, s.Created, s.Expires = rapid.Uint64Range(1, 1<<60).Draw(t, "version"), at("created"), at("expires")
	if rapid.Bool().Draw(t, "absolute") {
		s.Deadline = s.Expires.Add(time.Hour)
	}
	s.Namespace = rapid.StringMatching("[a-z0-9][a-z0-9_.-]{0,63}|").Draw(t, "namespace")
	s.Encoding = sessionstore.Encoding(rapid.IntRange(0, 1).Draw(t, "encoding"))
	s.Payload = rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "payload")
	return s
}

func write(t interface{ Fatal(...any) }, list []sessionstore.Session) []byte {
	var b bytes.Buffer
	w := archive.NewWriter(&b)
	for _, s := range list {
		if err := w.Write(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func read(b []byte) (list []sessionstore.Session, err error) {
	for r := archive.NewReader(bytes.NewReader(b)); ; {
		s, err := r.Next()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return list, err
		}
		list = append(list, s)
	}
}

func same(a, b sessionstore.Session) bool {
	return a.Key == b.Key && bytes.Equal(a.Payload, b.Payload) && a.Version == b.Version && a.Created.Equal(b.Created) && a.Expires.Equal(b.Expires) &&
		a.Deadline.Equal(b.Deadline) && a.Namespace == b.Namespace && a.Subject == b.Subject && a.Encoding == b.Encoding
}

// TestArchive: what is written comes back, and nothing that was cut, lengthened or changed is taken for whole.
func TestArchive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(rapid.Custom(anySession), 0, 4).Draw(t, "sessions")
		b := write(t, list)
		got, err := read(b)
		if err != nil || len(got) != len(list) {
			t.Fatalf("%d sessions came back as %d, %v", len(list), len(got), err)
		}
		for i := range list {
			if !same(got[i], list[i]) {
				t.Fatalf("%+v came back as %+v", list[i], got[i])
			}
		}
		at := rapid.IntRange(0, len(b)-1).Draw(t, "at")
		changed := bytes.Clone(b)
		changed[at] ^= byte(rapid.IntRange(1, 255).Draw(t, "by"))
		for what, x := range map[string][]byte{"cut": b[:at], "lengthened": append(bytes.Clone(b), 0), "changed": changed} {
			if _, err := read(x); !errors.Is(err, archive.ErrDamaged) {
				t.Fatalf("%s at byte %d: %v", what, at, err)
			}
		}
	})
}

// FuzzReader: no bytes make it panic, and what it takes for whole is what a Writer makes of the same sessions.
func FuzzReader(f *testing.F) {
	s := sessionstore.Session{Key: sessionstore.NewKey("shop", "x"), Version: 1, Created: time.UnixMilli(1), Expires: time.UnixMilli(2), Namespace: "shop", Payload: []byte("basket")}
	f.Add(write(f, nil))
	f.Add(write(f, []sessionstore.Session{s, s}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if list, err := read(b); err == nil && !bytes.Equal(write(t, list), b) {
			t.Errorf("%x is taken for whole", b)
		}
	})
}
