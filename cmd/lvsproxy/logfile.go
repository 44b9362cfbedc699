package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"log/syslog"
	"os"
	"strings"
	"sync/atomic"
)

// logFile is where the file's logfile= says that the log goes, besides standard error: a file that is appended to, or
// syslog. The place can become another at any time.
type logFile struct {
	options options
	dial    func(syslog.Priority, string) (*syslog.Writer, error)
	place   atomic.Pointer[logPlace]
}

// logPlace is one such place.
type logPlace struct {
	handler func(slog.Level) slog.Handler
	close   func() error
}

// nowhere is the place of a file that names none.
var nowhere = &logPlace{handler: func(slog.Level) slog.Handler { return slog.DiscardHandler }, close: func() error { return nil }}

func newLogFile(o options) *logFile {
	l := &logFile{options: o, dial: syslog.New}
	l.place.Store(nowhere)
	return l
}

// set opens the place that a directive names, also if it is the present one: after a file was rotated, that is another
// file. If it cannot be opened, the log goes nowhere besides standard error.
func (l *logFile) set(directive string) error {
	place, err := l.open(directive)
	if err != nil {
		place, err = nowhere, fmt.Errorf("logfile=%q: %w: the log goes to standard error only", directive, err)
	}
	// Whoever logs at this moment may still write to the old place, and find it closed: that line stands on standard error.
	_ = l.place.Swap(place).close()
	return err
}

func (l *logFile) open(directive string) (*logPlace, error) {
	if directive == "" {
		return nowhere, nil
	}
	if !strings.Contains(directive, "/") {
		return l.syslog(directive)
	}
	f, err := os.OpenFile(directive, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return nil, err
	}
	h := l.options.handler(f)
	return &logPlace{func(slog.Level) slog.Handler { return h }, f.Close}, nil
}

// facilities are syslog's, by the names that ldirectord takes.
var facilities = map[string]syslog.Priority{
	"kern": syslog.LOG_KERN, "user": syslog.LOG_USER, "mail": syslog.LOG_MAIL, "daemon": syslog.LOG_DAEMON, "auth": syslog.LOG_AUTH,
	"syslog": syslog.LOG_SYSLOG, "lpr": syslog.LOG_LPR, "news": syslog.LOG_NEWS, "uucp": syslog.LOG_UUCP, "cron": syslog.LOG_CRON,
	"authpriv": syslog.LOG_AUTHPRIV, "ftp": syslog.LOG_FTP, "local0": syslog.LOG_LOCAL0, "local1": syslog.LOG_LOCAL1,
	"local2": syslog.LOG_LOCAL2, "local3": syslog.LOG_LOCAL3, "local4": syslog.LOG_LOCAL4, "local5": syslog.LOG_LOCAL5,
	"local6": syslog.LOG_LOCAL6, "local7": syslog.LOG_LOCAL7,
}

// syslog is the machine's, with the priority of each line by its level.
func (l *logFile) syslog(facility string) (*logPlace, error) {
	f, known := facilities[strings.ToLower(facility)]
	if !known {
		return nil, errors.New("neither a path with a / nor a facility of syslog")
	}
	w, err := l.dial(f|syslog.LOG_INFO, "lvsproxy")
	if err != nil {
		return nil, err
	}
	to := func(write func(string) error) slog.Handler { return l.options.handler(lineWriter(write)) }
	debug, info, warn, bad := to(w.Debug), to(w.Info), to(w.Warning), to(w.Err)
	byLevel := func(level slog.Level) slog.Handler {
		switch {
		case level >= slog.LevelError:
			return bad
		case level >= slog.LevelWarn:
			return warn
		case level >= slog.LevelInfo:
			return info
		}
		return debug
	}
	return &logPlace{byLevel, w.Close}, nil
}

// lineWriter takes each line in a call of its own, as slog's handlers write.
type lineWriter func(string) error

func (w lineWriter) Write(line []byte) (int, error) { return len(line), w(string(line)) }

// handler hands lines to the place of the moment. Its attributes and groups are given to each place anew.
func (l *logFile) handler() slog.Handler {
	return &logHandler{l, func(h slog.Handler) slog.Handler { return h }}
}

type logHandler struct {
	*logFile
	with func(slog.Handler) slog.Handler
}

// Enabled implements [slog.Handler].
func (h *logHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.place.Load().handler(level).Enabled(ctx, level)
}

// Handle implements [slog.Handler].
func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.with(h.place.Load().handler(r.Level)).Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logHandler{h.logFile, func(to slog.Handler) slog.Handler { return h.with(to).WithAttrs(attrs) }}
}

// WithGroup implements [slog.Handler].
func (h *logHandler) WithGroup(name string) slog.Handler {
	return &logHandler{h.logFile, func(to slog.Handler) slog.Handler { return h.with(to).WithGroup(name) }}
}

// handler writes the log as the options say.
func (o options) handler(w io.Writer) slog.Handler {
	h := &slog.HandlerOptions{Level: o.logLevel}
	if o.logFormat == "json" {
		return slog.NewJSONHandler(w, h)
	}
	return slog.NewTextHandler(w, h)
}
