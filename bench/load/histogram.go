package load

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// maxHistogramText bounds the text of a histogram that UnmarshalJSON decodes, in bytes.
const maxHistogramText = 4 << 20

// Histogram is a distribution of durations, exact to three significant digits, from 1 µs to 1 hour. The zero value is
// empty. JSON has it as every HdrHistogram library reads it: in the compressed V2 encoding, base64, of microseconds.
// It is not safe for concurrent use.
type Histogram struct{ h *hdrhistogram.Histogram }

func newHistogram() Histogram {
	return Histogram{hdrhistogram.New(1, time.Hour.Microseconds(), 3)}
}

// Record adds a duration, the nearest that the histogram can hold if it is out of its range.
func (h *Histogram) Record(d time.Duration) {
	if h.h == nil {
		*h = newHistogram()
	}
	h.h.RecordValue(min(max(d.Microseconds(), 1), h.h.HighestTrackableValue())) // within the range it cannot fail
}

// Count is the number of durations recorded.
func (h Histogram) Count() int64 {
	if h.h == nil {
		return 0
	}
	return h.h.TotalCount()
}

// At is the duration that so many percent of all do not exceed; 0 if there are none.
func (h Histogram) At(percent float64) time.Duration {
	if h.Count() == 0 {
		return 0
	}
	return time.Duration(h.h.ValueAtPercentile(percent)) * time.Microsecond
}

// Percentiles sums the distribution up.
func (h Histogram) Percentiles() Percentiles {
	if h.Count() == 0 {
		return Percentiles{}
	}
	us := func(v int64) Millis { return Millis(time.Duration(v) * time.Microsecond) }
	at := func(p float64) Millis { return Millis(h.At(p)) }
	return Percentiles{
		Count: h.Count(),
		Min:   us(h.h.Min()), Mean: us(int64(h.h.Mean())), Max: us(h.h.Max()),
		P50: at(50), P75: at(75), P90: at(90), P99: at(99), P999: at(99.9), P9999: at(99.99),
	}
}

// Add adds all of another distribution to this one.
func (h *Histogram) Add(from Histogram) {
	if from.Count() == 0 {
		return
	}
	if h.h == nil {
		*h = newHistogram()
	}
	h.h.Merge(from.h)
}

func (h *Histogram) reset() {
	if h.Count() > 0 {
		h.h.Reset()
	}
}

// MarshalJSON writes the distribution; an empty one is "".
func (h Histogram) MarshalJSON() ([]byte, error) {
	if h.Count() == 0 {
		return []byte(`""`), nil
	}
	b, err := h.h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return nil, fmt.Errorf("encode histogram: %w", err)
	}
	return json.Marshal(string(b))
}

// UnmarshalJSON reads what MarshalJSON writes.
func (h *Histogram) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	if len(s) > maxHistogramText {
		return fmt.Errorf("histogram has %d bytes, more than %d", len(s), maxHistogramText)
	}
	*h = Histogram{}
	if s == "" {
		return nil
	}
	d, err := hdrhistogram.Decode([]byte(s))
	if err != nil {
		return fmt.Errorf("decode histogram: %w", err)
	}
	h.h = d
	return nil
}
