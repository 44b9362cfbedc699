package load

import (
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// What JSON makes of a histogram has the same percentiles.
func TestHistogramKeepsItsPercentilesInJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h, again Histogram
		for _, us := range rapid.SliceOf(rapid.Int64Range(0, 4e9)).Draw(t, "microseconds") {
			h.Record(time.Duration(us) * time.Microsecond)
		}
		b, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &again); err != nil {
			t.Fatal(err)
		}
		if h.Percentiles() != again.Percentiles() {
			t.Fatalf("%+v became %+v", h.Percentiles(), again.Percentiles())
		}
	})
}

func FuzzHistogram(f *testing.F) {
	var h Histogram
	h.Record(time.Millisecond)
	b, err := json.Marshal(h)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`""`))
	f.Add([]byte(`"HISTFAAAAB94nGNgYGBgBmJGIGZhgAAwn4kBAAHgABw="`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h Histogram
		if json.Unmarshal(b, &h) == nil {
			h.Percentiles()
		}
	})
}
