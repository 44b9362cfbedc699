package progress

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestDraw(t *testing.T) {
	for _, c := range []struct {
		part   float64
		status string
		width  int
		want   string
	}{
		{0.5, "half", 27, "[##########..........] half"},
		{2, "over", 17, "[##########] over"},
		{-1, "nobody knows", 60, "nobody knows"},
		{0.5, "no room", 12, "no room"},
		{0.5, "much too long", 4, "much"},
		{0.5, "x", -1, ""},
	} {
		if got := Draw(c.part, c.status, c.width); got != c.want {
			t.Errorf("%v %q in %d columns: %q, want %q", c.part, c.status, c.width, got, c.want)
		}
	}
}

// TestBar: on a terminal it is redrawn in place and vanishes; elsewhere there are whole lines, and few.
func TestBar(t *testing.T) {
	var terminal, file bytes.Buffer
	long := time.Now().Add(-time.Hour)
	b := On(&terminal, func() int { return 40 })
	b.shown = long
	b.Show(0.5, "5 sessions")
	b.Show(0.6, "6 sessions") // too soon, or drawn over
	b.Done()
	if got := terminal.String(); !strings.HasPrefix(got, "\r\x1b[K[") || !strings.Contains(got, " 50% 5 sessions") || !strings.HasSuffix(got, "\r\x1b[K") {
		t.Errorf("on a terminal: %q", got)
	}
	b = On(&file, nil)
	b.shown = long
	b.Show(-1, "5 sessions")
	b.Done()
	if got := file.String(); got != "5 sessions\n" {
		t.Errorf("elsewhere: %q", got)
	}
}
