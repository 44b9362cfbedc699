package check

import "fmt"

// State is what the results of a check so far say about a server.
type State int

// A server is Unknown until its first result.
const (
	Unknown State = iota
	Up
	Down
)

// String returns unknown, up or down.
func (s State) String() string { return [...]string{"unknown", "up", "down"}[s] }

// MarshalText returns what String does.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (s *State) UnmarshalText(text []byte) error {
	for _, candidate := range []State{Unknown, Up, Down} {
		if string(text) == candidate.String() {
			*s = candidate
			return nil
		}
	}
	return fmt.Errorf("state %q: expected unknown, up or down", text)
}

// streak turns single results into a State.
type streak struct {
	state State
	count int // results in a row that contradict the state
}

// add takes a result and returns whether the state changed.
func (s *streak) add(ok bool, spec *Spec) bool {
	result, need := Down, spec.FailureCount
	if ok {
		result, need = Up, spec.RiseCount
	}
	if s.state == result {
		s.count = 0
		return false
	}
	s.count++
	if s.state != Unknown && s.count < need {
		return false
	}
	s.state, s.count = result, 0
	return true
}
