package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lvsession/lvsession/bench/load"
)

// lineEvery is how often a progress line is written where no terminal shows a bar.
const lineEvery = 5 * time.Second

// Progress shows a load under way: as a few lines that are redrawn in place on a terminal, with a bar, the last second and the
// servers' shares; as a line every 5 s elsewhere. It is used from one goroutine.
type Progress struct {
	w     io.Writer
	width func() int
	shown time.Duration // elapsed time at the last line
	last  load.Snapshot
	rate  float64
	drawn int // lines on the terminal

	seconds int // complete ones that were seen
	servers map[string]int64
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
	p.draw(p.view(s, p.width()-1))
}

// draw replaces the lines on the terminal.
func (p *Progress) draw(lines []string) {
	if p.drawn > 1 {
		fmt.Fprintf(p.w, "\x1b[%dA", p.drawn-1)
	}
	fmt.Fprintf(p.w, "\r\x1b[J%s", strings.Join(lines, "\n"))
	p.drawn = len(lines)
}

// view returns the lines for a terminal that is so wide.
func (p *Progress) view(s load.Snapshot, width int) []string {
	lines := []string{bar(s, p.status(s), width)}
	p.count(s.Second)
	if p.seconds == 0 {
		return lines
	}
	l := s.Second
	last := fmt.Sprintf("last second: begun %s  acknowledged %s  errors %s  p50 %s p90 %s p99 %s p99.9 %s max %s ms  vipbench %.2f cores",
		thousands(l.Begun), thousands(l.Acknowledged), thousands(l.Errors), millis(l.P50), millis(l.P90), millis(l.P99), millis(l.P999), millis(l.Max), l.CPU)
	if s.Phase != "" {
		last = "phase " + printable(s.Phase) + ", " + last
	}
	return append(lines, cut(last, width), cut(p.shares(), width))
}

// count adds a complete second, once, to what the servers answered.
func (p *Progress) count(s load.Second) {
	n := int(time.Duration(s.At)/time.Second) + 1
	if n <= p.seconds || s.Begun+s.Acknowledged+s.Errors+s.InFlight == 0 {
		return
	}
	p.seconds = n
	if p.servers == nil {
		p.servers = map[string]int64{}
	}
	for name, answers := range s.Servers {
		p.servers[name] += answers
	}
}

// shares tells each server's part of the answers.
func (p *Progress) shares() string {
	var total int64
	for _, n := range p.servers {
		total += n
	}
	text := "servers:"
	for _, name := range slices.Sorted(maps.Keys(p.servers)) {
		text += fmt.Sprintf("  %s %s", printable(name), percent(float64(p.servers[name])/float64(max(total, 1))))
	}
	return text
}

// cut shortens a line to a width, so that the terminal does not wrap it.
func cut(s string, width int) string {
	if r := []rune(s); len(r) > width {
		return string(r[:max(width, 0)])
	}
	return s
}

// Done ends the progress: its lines vanish, so that what follows begins on a clean line.
func (p *Progress) Done() {
	if p.width != nil {
		p.draw(nil)
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
