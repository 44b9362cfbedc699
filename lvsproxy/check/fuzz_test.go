package check

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
	"pgregory.net/rapid"
)

func FuzzDNS(f *testing.F) {
	q, _ := dnsQuestion("www.example")
	query, id, _ := packDNS(q)
	f.Add(query)
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: id, Response: true}, Questions: []dnsmessage.Question{q}, Answers: []dnsmessage.Resource{
		{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}, Body: &dnsmessage.AResource{A: [4]byte{192, 0, 2, 1}}}}}
	answer, err := m.Pack()
	if a, ours := parseDNS(answer, id, q); err != nil || !ours || !slices.Equal(a.values, []string{"192.0.2.1"}) {
		f.Fatalf("got %v, %v, %v", a, ours, err)
	}
	f.Add(answer)
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, ours := parseDNS(b, id, q); !ours && a.values != nil {
			t.Errorf("values of another's answer: %v", a.values)
		}
	})
}

func FuzzRADIUS(f *testing.F) {
	request := newAccessRequest("user", "passwd", []byte("secret"))
	f.Add(radiusAnswer(request, accessAccept, []byte("secret"), nil))
	f.Add(request)
	f.Fuzz(func(t *testing.T, b []byte) {
		if code, ours := parseRADIUS(b, request, []byte("other")); ours {
			t.Errorf("a forged answer of code %d", code)
		}
	})
}

// radiusAnswer is what a server that knows the secret sends.
func radiusAnswer(request []byte, code byte, secret, attributes []byte) []byte {
	a := append([]byte{code, request[1], 0, 0}, request[4:radiusHeader]...)
	a = append(a, attributes...)
	binary.BigEndian.PutUint16(a[2:], uint16(len(a)))
	sum := md5.Sum(slices.Concat(a, secret))
	copy(a[4:radiusHeader], sum[:])
	return a
}

// TestRADIUSCodec: a server can read what is sent, and whoever does not know the secret, or changes a bit, is no server.
func TestRADIUSCodec(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		passwd := rapid.StringN(0, -1, maxRADIUSPassword).Draw(t, "passwd")
		secret := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "secret")
		request := newAccessRequest("user", passwd, secret)
		if n := int(binary.BigEndian.Uint16(request[2:])); n != len(request) || n > maxRADIUS {
			t.Fatalf("length %d of %d bytes", n, len(request))
		}
		signed := bytes.Clone(request)
		clear(signed[radiusHeader+2 : radiusHeader+2+md5.Size])
		mac := hmac.New(md5.New, secret)
		mac.Write(signed)
		if !hmac.Equal(mac.Sum(nil), request[radiusHeader+2:radiusHeader+2+md5.Size]) {
			t.Fatal("the Message-Authenticator is wrong")
		}
		if got := showPassword(request, secret); got != strings.TrimRight(passwd, "\x00") { // zeros are padding
			t.Fatalf("the server reads %q, not %q", got, passwd)
		}
		answer := radiusAnswer(request, accessAccept, secret, []byte{18, 4, 'o', 'k'})
		if code, ours := parseRADIUS(append(answer, 0, 0), request, secret); !ours || code != accessAccept {
			t.Fatalf("got %d, %v", code, ours)
		}
		if rapid.Bool().Draw(t, "change the answer") {
			answer[rapid.IntRange(0, len(answer)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		} else {
			secret = append(secret, 1)
		}
		if _, ours := parseRADIUS(answer, request, secret); ours {
			t.Fatal("a forged answer is taken")
		}
	})
}

// showPassword undoes hidePassword, as a server does.
func showPassword(request, secret []byte) string {
	for at := radiusHeader; at < len(request); at += int(request[at+1]) {
		if request[at] != attrUserPassword {
			continue
		}
		var shown []byte
		before := request[4:radiusHeader]
		for block := range slices.Chunk(request[at+2:at+int(request[at+1])], 16) {
			key := md5.Sum(slices.Concat(secret, before))
			for i, b := range block {
				shown = append(shown, b^key[i])
			}
			before = block
		}
		return string(bytes.TrimRight(shown, "\x00"))
	}
	return "(none)"
}

func FuzzSIP(f *testing.F) {
	f.Add([]byte("SIP/2.0 200 OK\r\nCall-ID: x\r\nContent-Length: 0\r\n\r\n"))
	f.Add([]byte("SIP/2.0 100 Trying\r\ni: x\r\nl: 3\r\n\r\nabc"))
	f.Fuzz(func(t *testing.T, b []byte) {
		status, _, err := readSIP(bufio.NewReader(bytes.NewReader(b)))
		if err == nil && len(status) > len(b) {
			t.Errorf("a status of %d bytes from %d", len(status), len(b))
		}
	})
}

func FuzzFTPPassive(f *testing.F) {
	f.Add("Entering Passive Mode (127,0,0,1,4,1)")
	f.Add("Entering Extended Passive Mode (|||1025|)")
	f.Fuzz(func(t *testing.T, message string) {
		if port, ok := parsePASV(message); ok && port == 0 {
			t.Error("port 0 by PASV")
		}
		if port, ok := parseEPSV(message); ok && port == 0 {
			t.Error("port 0 by EPSV")
		}
	})
}

func TestFTPPassive(t *testing.T) {
	tests := []struct {
		parse   func(string) (uint16, bool)
		message string
		port    uint16
	}{
		{parsePASV, "Entering Passive Mode (127,0,0,1,4,1).", 1025},
		{parsePASV, "10,0,0,1,255,255", 65535},
		{parsePASV, "10,0,0,1,256,1", 0},
		{parsePASV, "10,0,0,1,0,0", 0},
		{parsePASV, "none", 0},
		{parseEPSV, "Entering Extended Passive Mode (|||1025|)", 1025},
		{parseEPSV, "(!!!99!)", 99},
		{parseEPSV, "(|||65536|)", 0},
		{parseEPSV, "(|||0|)", 0},
		{parseEPSV, "(|1|10.0.0.1|99|)", 0},
	}
	for _, tt := range tests {
		port, ok := tt.parse(tt.message)
		if port != tt.port && ok || ok != (tt.port != 0) {
			t.Errorf("%s: got %d, %v, want %d", tt.message, port, ok, tt.port)
		}
	}
}
