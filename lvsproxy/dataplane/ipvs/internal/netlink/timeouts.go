package netlink

import (
	"time"

	"github.com/lvsession/lvsession/lvsproxy/service"
)

// encodeTimeouts encodes time-outs in whole seconds. What is 0 is left out: the kernel keeps it.
func encodeTimeouts(t service.Timeouts) attributes {
	var a attributes
	for _, one := range []struct {
		kind uint16
		d    time.Duration
	}{{attrTimeoutTCP, t.TCP}, {attrTimeoutTCPFin, t.TCPFin}, {attrTimeoutUDP, t.UDP}} {
		if one.d != 0 {
			a.uint32(one.kind, uint32(one.d/time.Second))
		}
	}
	return a
}

// decodeTimeouts returns the time-outs of a message's attributes.
func decodeTimeouts(b []byte) (service.Timeouts, error) {
	v, err := parse(b)
	seconds := func(kind uint16) time.Duration { return time.Duration(uint32(v.number(kind))) * time.Second }
	return service.Timeouts{TCP: seconds(attrTimeoutTCP), TCPFin: seconds(attrTimeoutTCPFin), UDP: seconds(attrTimeoutUDP)}, err
}
