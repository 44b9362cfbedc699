package alert

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// maxAge is how long a message may wait: older news is no news, and a mail host that is away must not be sent a day's
// changes when it is back.
const maxAge = 5 * time.Minute

// message is something to deliver.
type message struct {
	what    string // for the log
	made    time.Time
	deliver func(context.Context) error
}

// queue delivers messages one after the other, in their order.
type queue struct {
	kind    string
	options Options
	waiting chan message
	dropped atomic.Int64 // since the last line in the log
}

func newQueue(kind string, o Options) *queue {
	return &queue{kind: kind, options: o, waiting: make(chan message, o.Queue)}
}

// put adds a message, or drops it where too many wait.
func (q *queue) put(what string, deliver func(context.Context) error) {
	select {
	case q.waiting <- message{what, time.Now(), deliver}:
	default:
		if q.dropped.Add(1) == 1 {
			q.options.Logger.Warn("too many messages wait: dropping", "kind", q.kind, "waiting", cap(q.waiting))
		}
	}
}

// run delivers until ctx ends, and then what waits already until delivering does.
func (q *queue) run(ctx, delivering context.Context) {
	for {
		select {
		case m := <-q.waiting:
			q.deliver(ctx, delivering, m)
			continue
		default:
		}
		select {
		case <-ctx.Done():
			if len(q.waiting) == 0 {
				return
			}
		case m := <-q.waiting:
			q.deliver(ctx, delivering, m)
		}
	}
}

// deliver tries a message as often as allowed, at growing intervals; only once if ctx has ended.
func (q *queue) deliver(ctx, delivering context.Context, m message) {
	if n := q.dropped.Swap(0); n > 0 {
		q.options.Logger.Warn("messages were dropped", "kind", q.kind, "messages", n)
	}
	var err error
	for try := range q.options.Tries {
		if time.Since(m.made) > maxAge || delivering.Err() != nil {
			break
		}
		if err = q.try(delivering, m); err == nil {
			q.options.Logger.Info("told", "kind", q.kind, "message", m.what)
			return
		}
		if try+1 == q.options.Tries {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second << (2 * try)):
		}
		if ctx.Err() != nil {
			break
		}
	}
	attrs := []any{"kind", q.kind, "message", m.what, "age", time.Since(m.made).Round(time.Second)}
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	q.options.Logger.Error("could not be delivered", attrs...)
}

func (q *queue) try(ctx context.Context, m message) error {
	ctx, cancel := context.WithTimeout(ctx, q.options.Timeout)
	defer cancel()
	return m.deliver(ctx)
}
