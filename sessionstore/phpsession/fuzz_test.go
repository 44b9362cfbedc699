package phpsession

import (
	"bytes"
	"errors"
	"testing"

	"github.com/lvsession/lvsession/sessionstore"
)

// FuzzDecode reads what anybody may have written. What can be read can be written, and then stays as it is.
func FuzzDecode(f *testing.F) {
	for i, format := range formats {
		for _, s := range samples[format] {
			f.Add(uint8(i), []byte(s))
		}
	}
	for _, s := range []string{
		`a:1:{i:0;R:1;}`, `a:2147483647:{`, `a:1:{i:0;a:1:{i:0;R:2;}}`, `a:1:{i:0;s:2147483647:"`, `a:1:{i:0;S:2:"\41b";}`,
		`a:4:{i:0;i:+5;i:1;d:1e400;i:2;i:99999999999999999999;s:1:"5";b:1;}`, `a:2:{i:0;C:1:"A":5:{R:1;x}i:1;R:2;}`,
	} {
		f.Add(uint8(1), []byte(s))
	}
	f.Add(uint8(3), []byte("\x00\x00\x00\x02\x14\x03\x06\x00\x14\x00\x06\x01\x01\x01\x06\x02\x25\x01\x01"))
	f.Fuzz(func(t *testing.T, which uint8, payload []byte) {
		format := formats[int(which)%len(formats)]
		values, err := Decode(format, payload)
		if err != nil {
			if !errors.Is(err, ErrFormat) && !errors.Is(err, ErrUnsupported) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		if m, err := values.Map(); err == nil {
			if err := values.Clone().Update(m); err != nil && !errors.Is(err, ErrUnsupported) {
				t.Fatalf("update %q with its own values: %v", payload, err)
			}
		}
		once, err := Encode(format, values)
		if errors.Is(err, sessionstore.ErrTooLarge) || errors.Is(err, ErrUnsupported) {
			return
		}
		if err != nil {
			t.Fatalf("encode: %v", err)
		}
		if twice := reencode(t, format, once); !bytes.Equal(once, twice) {
			t.Fatalf("%q became\n%q, then\n%q", payload, once, twice)
		}
	})
}
