package check

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// newDNS is the negotiate check of dns: the address of the name that request holds after its slash, or the name of the
// address if it is one, must match. As with ldirectord, there is no success without a receive pattern.
func newDNS(s Spec) (probe, error) {
	receive, err := newPattern(s.Receive)
	if err != nil {
		return nil, err
	}
	if receive.any() {
		return refuse(errors.New("receive is needed: expected a pattern for an address or a name")), nil
	}
	q, err := dnsQuestion(strings.TrimPrefix(s.Request, "/"))
	if err != nil {
		return refuse(err), nil
	}
	return func(ctx context.Context) (string, error) {
		var answer dnsAnswer
		if s.UDP {
			if answer, err = s.dnsDatagram(ctx, q); err != nil {
				return "", err
			}
		}
		if !s.UDP || answer.truncated {
			if answer, err = s.dnsStream(ctx, q); err != nil {
				return "", err
			}
		}
		if answer.code != dnsmessage.RCodeSuccess {
			return "", fmt.Errorf("the answer is %s", strings.TrimPrefix(answer.code.String(), "RCode"))
		}
		for _, v := range answer.values {
			if receive.matches([]byte(v)) {
				return "an answer matches", nil
			}
		}
		return "", fmt.Errorf("none of %d answers matches receive", len(answer.values))
	}, nil
}

// dnsQuestion asks for the IPv4 address of a name, or the name of an address. Names are complete: there is no search list.
func dnsQuestion(request string) (dnsmessage.Question, error) {
	text, kind := request, dnsmessage.TypeA
	if a, err := netip.ParseAddr(request); err == nil {
		text, kind = reverseName(a), dnsmessage.TypePTR
	}
	if !strings.HasSuffix(text, ".") {
		text += "."
	}
	name, err := dnsmessage.NewName(text)
	q := dnsmessage.Question{Name: name, Type: kind, Class: dnsmessage.ClassINET}
	if err == nil {
		_, err = (&dnsmessage.Message{Questions: []dnsmessage.Question{q}}).Pack()
	}
	if err != nil || request == "" {
		return q, fmt.Errorf("request %q: expected a host name or an address", request)
	}
	return q, nil
}

// reverseName is where the names of an address are kept (RFC 1035, section 3.5, and RFC 3596, section 2.5).
func reverseName(a netip.Addr) string {
	var b strings.Builder
	if a.Is4() {
		for _, v := range reversed(a.AsSlice()) {
			fmt.Fprintf(&b, "%d.", v)
		}
		return b.String() + "in-addr.arpa."
	}
	for _, v := range reversed(a.AsSlice()) {
		fmt.Fprintf(&b, "%x.%x.", v&15, v>>4)
	}
	return b.String() + "ip6.arpa."
}

func reversed(b []byte) []byte {
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return b
}

// packDNS returns a query and its random id.
func packDNS(q dnsmessage.Question) ([]byte, uint16, error) {
	id := uint16(rand.Uint32())
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: id, RecursionDesired: true}, Questions: []dnsmessage.Question{q}}
	b, err := m.Pack()
	return b, id, err
}

func (s Spec) dnsDatagram(ctx context.Context, q dnsmessage.Question) (answer dnsAnswer, err error) {
	query, id, err := packDNS(q)
	if err != nil {
		return answer, err
	}
	c, err := s.dial(ctx)
	if err != nil {
		return answer, err
	}
	defer c.Close()
	err = exchange(ctx, c, query, func(b []byte) (bool, error) {
		var ours bool
		answer, ours = parseDNS(b, id, q)
		return ours, nil
	})
	return answer, err
}

// dnsStream asks over TCP, where a length comes before each message (RFC 1035, section 4.2.2).
func (s Spec) dnsStream(ctx context.Context, q dnsmessage.Question) (dnsAnswer, error) {
	query, id, err := packDNS(q)
	if err != nil {
		return dnsAnswer{}, err
	}
	c, err := dial(ctx, "tcp", s.Target)
	if err != nil {
		return dnsAnswer{}, err
	}
	defer c.Close()
	if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)); err != nil {
		return dnsAnswer{}, err
	}
	var length [2]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		return dnsAnswer{}, err
	}
	b := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(c, b); err != nil {
		return dnsAnswer{}, err
	}
	answer, ours := parseDNS(b, id, q)
	if !ours {
		return dnsAnswer{}, errors.New("the answer is none to the question")
	}
	return answer, nil
}

// dnsAnswer is what an answer says: addresses for a name, or names for an address.
type dnsAnswer struct {
	code      dnsmessage.RCode
	truncated bool
	values    []string
}

// parseDNS reads an answer. It reports false if this is no answer to the question. One that breaks off counts as far as it
// goes.
func parseDNS(b []byte, id uint16, q dnsmessage.Question) (answer dnsAnswer, ours bool) {
	var p dnsmessage.Parser
	h, err := p.Start(b)
	if err != nil || h.ID != id || !h.Response {
		return answer, false
	}
	answer.code, answer.truncated = h.RCode, h.Truncated
	asked, err := p.Question()
	if err != nil || asked.Type != q.Type || asked.Class != q.Class || !strings.EqualFold(asked.Name.String(), q.Name.String()) {
		return answer, false
	}
	if p.SkipAllQuestions() != nil {
		return answer, true
	}
	for {
		r, err := p.Answer()
		if err != nil {
			return answer, true
		}
		switch body := r.Body.(type) {
		case *dnsmessage.AResource:
			answer.values = append(answer.values, netip.AddrFrom4(body.A).String())
		case *dnsmessage.PTRResource:
			answer.values = append(answer.values, strings.TrimSuffix(body.PTR.String(), "."))
		}
	}
}
