package figures

import (
	"encoding/binary"
	"math/rand/v2"
)

// Payload returns n bytes like those of a serialised session: text, with little to escape.
func Payload(n int) []byte {
	payload := make([]byte, n)
	const text = "cart|a:2:{s:4:\"item\";i:42;s:5:\"count\";i:7;}user|s:12:\"visitor name\";"
	for i := range payload {
		payload[i] = text[i%len(text)]
	}
	return payload
}

// Renew makes the payload another one of the same length.
func Renew(payload []byte) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], rand.Uint64())
	for i := range min(len(b), len(payload)) {
		payload[i] = 'a' + b[i]%26
	}
}
