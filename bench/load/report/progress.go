package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

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
	drawn []string // lines on the terminal

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
	if up := rows(p.drawn, p.width()) - 1; up > 0 {
		fmt.Fprintf(p.w, "\x1b[%dA", up)
	}
	fmt.Fprintf(p.w, "\r\x1b[J%s", strings.Join(lines, "\n"))
	p.drawn = lines
}

// rows is how many rows of a terminal of that width the lines take that were drawn when it was wider: it has broken them.
func rows(lines []string, width int) int {
	n := 0
	for _, l := range lines {
		n += max(1, (utf8.RuneCountInString(l)+width-1)/max(width, 1))
	}
	return n
}

// view returns the lines for a terminal that is so wide.
func (p *Progress) view(s load.Snapshot, width int) []string {
	lines := p.head(s, width)
	if s.Fault.Name != "" {
		lines = append(lines, cut(fault(s.Fault), width))
	}
	p.count(s.Second)
	if p.seconds == 0 {
		return lines
	}
	title := "last second:"
	if s.Phase != "" {
		title = "phase " + printable(s.Phase) + ", " + title
	}
	l := s.Second
	lines = append(lines, wrap(title, []string{
		"begun " + thousands(l.Begun), "acknowledged " + thousands(l.Acknowledged), "errors " + thousands(l.Errors),
		fmt.Sprintf("p50 %s p90 %s p99 %s p99.9 %s max %s ms", millis(l.P50), millis(l.P90), millis(l.P99), millis(l.P999), millis(l.Max)),
		fmt.Sprintf("vipbench %.2f cores", l.CPU),
	}, width)...)
	return append(lines, p.shares(width)...)
}

// fault tells of the latest fault.
func fault(f load.Fault) string {
	text := fmt.Sprintf("fault: %s at %s s", printable(f.Name), seconds(f.Began))
	switch {
	case f.Error != "":
		text += ", failed"
	case f.Ended != 0:
		text += ", ended at " + seconds(f.Ended) + " s"
	}
	return text
}

// head is how far the load is and what came of it: on one line with a bar, or on more where that leaves no room for one.
func (p *Progress) head(s load.Snapshot, width int) []string {
	status := p.status(s)
	if width-len(status)-3 >= leastBar {
		return []string{bar(s, status, width)}
	}
	return append([]string{bar(s, when(s), width)}, wrap("", p.outcome(s), width)...)
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

// mostShares bounds the lines of the servers' shares.
const mostShares = 3

// shares tells each server's part of the answers.
func (p *Progress) shares(width int) []string {
	var total int64
	for _, n := range p.servers {
		total += n
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(p.servers)) {
		parts = append(parts, printable(name)+" "+percent(float64(p.servers[name])/float64(max(total, 1))))
	}
	lines := wrap("servers:", parts, width)
	if len(lines) > mostShares {
		lines = append(lines[:mostShares-1], cut(fmt.Sprintf("  and others, of %d", len(parts)), width))
	}
	return lines
}

// wrap puts parts behind a title, on as many lines as they need; those after the first are indented.
func wrap(title string, parts []string, width int) []string {
	lines := []string{title}
	for _, part := range parts {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = part
		case utf8.RuneCountInString(*last)+2+utf8.RuneCountInString(part) <= width:
			*last += "  " + part
		default:
			lines = append(lines, "  "+part)
		}
	}
	for i := range lines {
		lines[i] = cut(lines[i], width)
	}
	return lines
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
	return when(s) + " " + strings.Join(p.outcome(s), "  ")
}

func when(s load.Snapshot) string {
	return fmt.Sprintf("%3.0f%% %4.0fs", 100*part(s), s.Elapsed.Seconds())
}

func (p *Progress) outcome(s load.Snapshot) []string {
	return []string{
		fmt.Sprintf("%8s/s", decimal(p.rate, 0)),
		fmt.Sprintf("p50 %s p99 %s ms", millis(load.Millis(s.P50)), millis(load.Millis(s.P99))),
		"in flight " + thousands(s.InFlight), "errors " + thousands(s.Errors), "violations " + thousands(s.Violations),
	}
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

// leastBar is the shortest bar worth drawing.
const leastBar = 10

// bar puts a bar of what remains of width columns before the status; there is none if less than leastBar remain.
func bar(s load.Snapshot, status string, width int) string {
	room := width - len(status) - 3
	if room < leastBar {
		return status[:max(0, min(len(status), width))]
	}
	room = min(room, 40)
	full := int(part(s) * float64(room))
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", room-full) + "] " + status
}
