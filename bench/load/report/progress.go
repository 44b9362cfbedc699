package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/lvsession/lvsession/bench/load"
)

// lineEvery is how often a progress line is written where no terminal shows a bar.
const lineEvery = 5 * time.Second

// Progress shows a load under way: as a bar that is redrawn in place on a terminal, as a line every 5 s elsewhere. It is
// used from one goroutine.
type Progress struct {
	w     io.Writer
	width func() int
	shown time.Duration // elapsed time at the last line
	last  load.Snapshot
	rate  float64
}

// NewProgress returns a Progress that writes to w. width gives the terminal's width in columns at any time, and is nil
// if w is no terminal.
func NewProgress(w io.Writer, width func() int) *Progress { return &Progress{w: w, width: width} }

// Show shows a state of the load. Errors of the writer are ignored: progress is not worth ending a load for.
func (p *Progress) Show(s load.Snapshot) {
	if p.width == nil {
		if s.Elapsed-p.shown < lineEvery {
			return
		}
		p.shown = s.Elapsed
		p.measure(s)
		fmt.Fprintf(p.w, "%s\n", p.status(s))
		return
	}
	p.measure(s)
	fmt.Fprintf(p.w, "\r\x1b[K%s", bar(s, p.status(s), p.width()-1))
}

// Done ends the progress: the bar vanishes, so that what follows begins on a clean line.
func (p *Progress) Done() {
	if p.width != nil {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

// measure computes the rate since the last state shown.
func (p *Progress) measure(s load.Snapshot) {
	if d := (s.Elapsed - p.last.Elapsed).Seconds(); d > 0.05 {
		p.rate = float64(s.Acknowledged-p.last.Acknowledged) / d
		p.last = s
	}
}

func (p *Progress) status(s load.Snapshot) string {
	return fmt.Sprintf("%3.0f%% %4.0fs %8s/s  p50 %s p99 %s ms  in flight %d  errors %s  violations %s",
		100*part(s), s.Elapsed.Seconds(), decimal(p.rate, 0), millis(load.Millis(s.P50)), millis(load.Millis(s.P99)),
		s.InFlight, thousands(s.Errors), thousands(s.Violations))
}

func part(s load.Snapshot) float64 {
	done := 0.0
	if s.Planned > 0 {
		done = float64(s.Done) / float64(s.Planned)
	}
	if s.Until > 0 { // whatever ends the load first
		done = max(done, min(1, s.Elapsed.Seconds()/s.Until.Seconds()))
	}
	return done
}

// bar puts a bar of what remains of width columns before the status; there is none if less than 10 remain.
func bar(s load.Snapshot, status string, width int) string {
	room := width - len(status) - 3
	if room < 10 {
		return status[:max(0, min(len(status), width))]
	}
	room = min(room, 40)
	full := int(part(s) * float64(room))
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", room-full) + "] " + status
}
