package load

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Limits of the counter page's contract, in bytes.
const (
	MaxUserLength   = 64       // of a user's name
	MaxServerLength = 64       // of a real server's name
	MaxBody         = 64 << 10 // of an answer
	MaxPayload      = 1 << 20  // of what a session keeps beside count and name
)

// IDLength is the number of hexadecimal digits of a session id's hash that the counter page shows.
const IDLength = 8

// Answer is what the counter page says, see the package comment.
type Answer struct {
	Server string `json:"server"` // name of the real server
	ID     string `json:"id"`     // first 8 hexadecimal digits of SHA-256 of the session id
	Count  int64  `json:"count"`  // visits of the session, this one included: at least 1
	User   string `json:"user"`   // the name stored in the session
	// Size and Hash are of the payload that the page read, before it wrote another: bytes, and the first 16 hexadecimal digits
	// of SHA-256. Hash is empty if the page was not asked for a payload.
	Size int    `json:"size,omitempty"`
	Hash string `json:"hash,omitempty"`
}

// ParseAnswer reads the body of an acknowledged answer to a visit. An error says which part of the contract the body
// breaks.
func ParseAnswer(body []byte) (Answer, error) { return parseAnswer(body, 1) }

// parseAnswer reads an answer whose count is at least that.
func parseAnswer(body []byte, least int64) (Answer, error) {
	var a Answer
	if err := json.Unmarshal(body, &a); err != nil {
		return Answer{}, fmt.Errorf("body is not the counter page's JSON: %w", err)
	}
	switch {
	case a.Server == "" || len(a.Server) > MaxServerLength:
		return Answer{}, fmt.Errorf("member server has %d bytes, not 1 to %d", len(a.Server), MaxServerLength)
	case !hexadecimal(a.ID, IDLength):
		return Answer{}, fmt.Errorf("member id is not %d lower-case hexadecimal digits", IDLength)
	case a.Count < least:
		return Answer{}, fmt.Errorf("member count is %d, less than %d", a.Count, least)
	case a.User == "":
		return Answer{}, errors.New("member user is empty")
	case len(a.User) > MaxUserLength:
		return Answer{}, fmt.Errorf("member user has %d bytes, more than %d", len(a.User), MaxUserLength)
	case a.Hash != "" && !hexadecimal(a.Hash, HashLength):
		return Answer{}, fmt.Errorf("member hash is not %d lower-case hexadecimal digits", HashLength)
	case a.Size < 0 || a.Size > MaxPayload:
		return Answer{}, fmt.Errorf("member size is %d, not 0 to %d", a.Size, MaxPayload)
	}
	return a, nil
}

func hexadecimal(s string, length int) bool {
	if len(s) != length {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
