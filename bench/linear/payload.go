package linear

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
)

// torn is the number of a payload that nobody wrote.
const torn = ^uint64(0)

// payloadFor returns the payload with this number, at least 1. It is random bytes that begin with the number: mostly
// short, and of every sixteenth number so long that an SQL store splits it.
func payloadFor(number uint64) []byte {
	r := rand.New(rand.NewPCG(number, 0))
	n := 8 + r.IntN(1000)
	if number%16 == 0 {
		n = 30_000 + r.IntN(60_000)
	}
	b := binary.BigEndian.AppendUint64(make([]byte, 0, n+8), number)
	for len(b) < n {
		b = binary.BigEndian.AppendUint64(b, r.Uint64())
	}
	return b
}

// numberOf returns the number of a payload: 0 for the empty one of a session that a touch made, [torn] for one that is
// not, to the last byte, what payloadFor returns.
func numberOf(payload []byte) uint64 {
	if len(payload) == 0 {
		return 0
	}
	if len(payload) < 8 {
		return torn
	}
	number := binary.BigEndian.Uint64(payload)
	if number == 0 || !bytes.Equal(payload, payloadFor(number)) {
		return torn
	}
	return number
}
