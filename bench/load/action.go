package load

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Action is what a request asks of the counter page.
type Action string

// The actions.
const (
	Visit  Action = "visit"  // counts, and writes the session
	Read   Action = "read"   // tells the session as it is
	LogIn  Action = "login"  // counts, and moves the session to a new id
	LogOut Action = "logout" // tells the session as it was, and destroys it
)

// counts tells whether the action adds one to the session's count.
func (a Action) counts() bool { return a == Visit || a == LogIn }

// Mix is how often each action is asked for, relative to each other. The zero value is visits only.
type Mix struct {
	Visit  int `json:"visit"`
	Read   int `json:"read"`
	Login  int `json:"login"`
	Logout int `json:"logout"`
}

// ParseMix reads a mix such as "visit=60,read=35,login=2,logout=3".
func ParseMix(text string) (Mix, error) {
	var m Mix
	of := map[Action]*int{Visit: &m.Visit, Read: &m.Read, LogIn: &m.Login, LogOut: &m.Logout}
	for pair := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		to := of[Action(name)]
		if to == nil {
			return Mix{}, fmt.Errorf("%q is not visit, read, login or logout with =weight", pair)
		}
		weight, err := strconv.ParseUint(value, 10, 16)
		if err != nil {
			return Mix{}, fmt.Errorf("weight %q of %s is not 0 to 65535", value, name)
		}
		*to = int(weight)
		delete(of, Action(name))
	}
	if m.sum() == 0 {
		return Mix{}, fmt.Errorf("all weights of %q are 0", text)
	}
	return m, nil
}

func (m Mix) sum() int { return m.Visit + m.Read + m.Login + m.Logout }

// draw draws an action.
func (m Mix) draw(from *rand.Rand) Action {
	if m.Read+m.Login+m.Logout == 0 {
		return Visit
	}
	n := from.IntN(m.sum())
	switch {
	case n < m.Visit:
		return Visit
	case n < m.Visit+m.Read:
		return Read
	case n < m.Visit+m.Read+m.Login:
		return LogIn
	}
	return LogOut
}

// request is one request of a user.
type request struct {
	action Action
	size   int // of the payload that the page should store, in bytes; -1 for none
}

// Payload is what the counter page stores beside the count: size bytes that depend on the session's user and count, so
// that whoever reads them can tell whose they are and how old. They are the 64 hexadecimal digits of SHA-256 of
// "user:count", over and over.
func Payload(user string, count int64, size int) string {
	block := payloadBlock(user, count)
	return strings.Repeat(block, size/len(block)+1)[:size]
}

func payloadBlock(user string, count int64) string {
	return hexSum([]byte(user + ":" + strconv.FormatInt(count, 10)))
}

// HashLength is the number of hexadecimal digits of a payload's hash that the counter page shows.
const HashLength = 16

// HashPayload is the hash that the page shows of a payload that it read.
func HashPayload(payload string) string { return hexSum([]byte(payload))[:HashLength] }

// payloadHash is the hash of [Payload], made without it.
func payloadHash(user string, count int64, size int) string {
	block := []byte(payloadBlock(user, count))
	h := sha256.New()
	for ; size > len(block); size -= len(block) {
		h.Write(block)
	}
	h.Write(block[:size])
	return hex.EncodeToString(h.Sum(nil))[:HashLength]
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
