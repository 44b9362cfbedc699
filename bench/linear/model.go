package linear

import (
	"fmt"

	"github.com/anishathalye/porcupine"

	"github.com/lvsession/lvsession/sessionstore"
)

// phase is what there is under a session's ids.
type phase uint8

const (
	absent phase = iota // never written
	live
	destroyed
)

// state is one session in the model.
type state struct {
	phase   phase
	version uint64
	payload uint64
	token   uint64 // of the lease that is held, 0 if none is
}

func (s state) String() string {
	text := "absent"
	switch s.phase {
	case live:
		text = fmt.Sprintf("version %d, #%d", s.version, s.payload)
	case destroyed:
		text = "destroyed"
	}
	if s.token != 0 {
		text += ", " + tokenName(s.token)
	}
	return text
}

// apply returns what the contract makes of an operation: its outcome and the state after it. A lock gives the token
// that the store gave.
func (s state) apply(o Operation, granted uint64) (Outcome, state) {
	switch o.Kind {
	case Read:
		if s.phase != live {
			return Outcome{Class: NotFound}, s
		}
		return Outcome{Version: s.version, Payload: s.payload}, s
	case Write:
		return s.write(o)
	case Touch:
		return s.touch(o)
	case Destroy:
		s.phase, s.version, s.payload = destroyed, 0, 0
	case Lock:
		if s.token != 0 {
			return Outcome{Class: Locked}, s
		}
		s.token = granted
		return Outcome{Token: granted}, s
	case Unlock:
		if s.token == o.Token {
			s.token = 0
		}
	case Regenerate:
		return s.regenerate(o)
	}
	return Outcome{}, s
}

func (s state) write(o Operation) (Outcome, state) {
	anyVersion := o.IfVersion == sessionstore.AnyVersion
	switch {
	case s.phase == destroyed:
		return Outcome{Class: Destroyed}, s
	case s.phase == absent && o.IfVersion != 0 && !anyVersion:
		return Outcome{Class: NotFound}, s
	case s.phase == live && o.IfVersion != s.version && !anyVersion, o.Token != 0 && o.Token != s.token:
		return Outcome{Class: Conflict}, s
	}
	s.phase, s.version, s.payload = live, s.version+1, o.Payload
	if o.Release {
		s.token = 0
	}
	return Outcome{Version: s.version}, s
}

func (s state) touch(o Operation) (Outcome, state) {
	switch {
	case s.phase == destroyed:
		return Outcome{Class: Destroyed}, s
	case s.phase == absent && !o.Create:
		return Outcome{Class: NotFound}, s
	case s.phase == absent:
		s.phase, s.version = live, 1
	}
	if s.token == o.Token {
		s.token = 0
	}
	return Outcome{}, s
}

// regenerate keeps the session, under one id more. The lease moves along only if it is named; otherwise it stays with
// the old key, where it locks nothing any more.
func (s state) regenerate(o Operation) (Outcome, state) {
	switch {
	case s.phase == destroyed:
		return Outcome{Class: Destroyed}, s
	case s.phase == absent:
		return Outcome{Class: NotFound}, s
	case o.Token != 0 && o.Token != s.token:
		return Outcome{Class: Conflict}, s
	}
	s.token = o.Token
	return Outcome{Version: s.version, Payload: s.payload}, s
}

// step tells whether the operation can come to this outcome in this state, and what state it leaves.
func (s state) step(o Operation, got Outcome) (bool, state) {
	want, next := s.apply(o, got.Token)
	switch {
	case got.Class == Unknown:
		return true, next // or it stands at the end of time, where its effect is never seen
	case o.Kind == Lock && got.Class == Locked && !o.Strict:
		return true, s
	case o.Kind == Regenerate && o.Token != 0 && s.phase == destroyed && got.Class == NotFound:
		return true, s // the service reads the session first, and a read does not tell the two apart
	}
	return got == want, next
}

// model is the sequential specification of one session.
func model() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return state{} },
		Step: func(s, in, out any) (bool, any) { return s.(state).step(in.(Operation), out.(Outcome)) },
		Hash: func(s any) uint64 {
			v := s.(state)
			return uint64(v.phase) + v.version*0x9e3779b97f4a7c15 ^ v.payload*0xff51afd7ed558ccd ^ v.token*0xc4ceb9fe1a85ec53
		},
		DescribeOperation: func(in, out any) string {
			o := in.(Operation)
			return o.String() + " → " + out.(Outcome).describe(o.Kind)
		},
		DescribeState: func(s any) string { return s.(state).String() },
	}
}
