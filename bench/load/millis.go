package load

import (
	"strconv"
	"time"
)

// Millis is a duration that JSON shows as a number of milliseconds with up to three decimals.
type Millis time.Duration

func (m Millis) String() string { return time.Duration(m).String() }

// MarshalJSON rounds to microseconds.
func (m Millis) MarshalJSON() ([]byte, error) {
	us := time.Duration(m).Round(time.Microsecond).Microseconds()
	return strconv.AppendFloat(nil, float64(us)/1000, 'f', -1, 64), nil
}

// UnmarshalJSON reads a number of milliseconds.
func (m *Millis) UnmarshalJSON(b []byte) error {
	ms, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return err
	}
	*m = Millis(time.Duration(ms*1e3+0.5) * time.Microsecond)
	return nil
}
