// Package progress shows how far long work is: as a bar that is redrawn in place on a terminal, as a line now and then
// elsewhere.
package progress

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

const (
	drawEvery = 100 * time.Millisecond // on a terminal
	lineEvery = 5 * time.Second        // elsewhere
)

// Bar is used from one goroutine. Errors of the writer are ignored: progress is not worth ending any work for.
type Bar struct {
	w     io.Writer
	width func() int // of the terminal, in columns; nil if w is none
	shown time.Time
}

// New returns a Bar on a file, usually standard error.
func New(f *os.File) *Bar {
	fd := int(f.Fd())
	if !term.IsTerminal(fd) {
		return On(f, nil)
	}
	return On(f, func() int {
		width, _, err := term.GetSize(fd)
		if err != nil {
			return 80
		}
		return width
	})
}

// On returns a Bar on a writer; width is nil if that is no terminal.
func On(w io.Writer, width func() int) *Bar { return &Bar{w: w, width: width, shown: time.Now()} }

// Show shows what part of the work is done, 0 to 1 or negative if nobody knows, and a status, at most every so often.
func (b *Bar) Show(part float64, status string) {
	every := lineEvery
	if b.width != nil {
		every = drawEvery
	}
	now := time.Now()
	if now.Sub(b.shown) < every {
		return
	}
	b.shown = now
	if part >= 0 {
		status = fmt.Sprintf("%3.0f%% %s", 100*min(1, part), status)
	}
	if b.width == nil {
		fmt.Fprintln(b.w, status)
		return
	}
	fmt.Fprintf(b.w, "\r\x1b[K%s", Draw(part, status, b.width()-1))
}

// Done ends the progress: the bar vanishes, so that what follows begins on a clean line.
func (b *Bar) Done() {
	if b.width != nil {
		fmt.Fprint(b.w, "\r\x1b[K")
	}
}

// Draw puts a bar of what remains of width columns before the status; there is none if less than 10 remain, or if nobody
// knows the part.
func Draw(part float64, status string, width int) string {
	room := width - len(status) - 3
	if room < 10 || part < 0 {
		return status[:max(0, min(len(status), width))]
	}
	room = min(room, 40)
	full := int(min(1, part) * float64(room))
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", room-full) + "] " + status
}
