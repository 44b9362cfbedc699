package lvsproxy

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/check"
	"github.com/lvsession/lvsession/lvsproxy/config"
)

// maxMonitor is how many lines wait to be written at most.
const maxMonitor = 10_000

// monitor appends the results of checks to monitorfiles. A file is opened for each line, so that it may be moved away at
// any time.
type monitor struct {
	log     *slog.Logger
	waiting chan monitorLine
	dropped atomic.Int64
}

type monitorLine struct{ file, text string }

func newMonitor(log *slog.Logger) *monitor {
	return &monitor{log: log, waiting: make(chan monitorLine, maxMonitor)}
}

// add takes a line. It never blocks: lines beyond what can wait are dropped, which is logged.
func (m *monitor) add(file, text string) {
	select {
	case m.waiting <- monitorLine{file, text}:
	default:
		if m.dropped.Add(1) == 1 {
			m.log.Error("monitorfile is too slow: results are dropped", "file", file)
		}
	}
}

// run writes until ctx ends.
func (m *monitor) run(ctx context.Context) {
	failed := map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case l := <-m.waiting:
			m.dropped.Store(0)
			err := appendLine(l.file, l.text)
			if err != nil && !failed[l.file] {
				m.log.Error("monitorfile cannot be written", "error", err)
			}
			failed[l.file] = err != nil
		}
	}
}

func appendLine(file, text string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// monitorName is how ldirectord's monitorfile names a real server: get_real_id_str, with blanks for colons.
func monitorName(v config.Virtual, r config.Real) string {
	how := string(v.Check.Type)
	switch v.Check.Type {
	case config.CheckNegotiate, config.CheckCombined:
		how += ":" + v.Check.Service
	case config.CheckExternal, config.CheckExternalPerl:
		how += ":" + v.Check.Command
	}
	port := ""
	if v.Check.Port != 0 {
		port = strconv.Itoa(int(v.Check.Port))
	}
	id := strings.Join([]string{
		how, string(v.ID.Protocol), r.Addr.String(), v.Check.VirtualHost, port, strconv.Itoa(r.Weight), string(r.Forward), r.Request, r.Receive,
	}, ":")
	return strings.ReplaceAll(strings.Join(strings.FieldsFunc(id, func(c rune) bool { return c == ':' }), " "), `\`, "")
}

var monitorQuoting = strings.NewReplacer("%", "%25", "|", "%7c", "\r", "%0d", "\n", "%0a")

// monitorText is a line of a monitorfile: ldirectord's, with why a check succeeded or failed in place of its message.
func monitorText(name string, r check.Result) string {
	state := "down"
	if r.OK {
		state = "up"
	}
	return fmt.Sprintf("[%s] [%d] %s [%s] %s\n", time.Now().Format(time.ANSIC), os.Getpid(), name, state, monitorQuoting.Replace(r.Reason))
}
