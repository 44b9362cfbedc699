package userspace

import (
	"sync/atomic"
	"time"
)

// throttle keeps what happens with every connection from filling the log.
type throttle struct {
	next   atomic.Int64 // Unix nanoseconds from which on it may be logged again
	unsaid atomic.Int64 // how often it was not logged since
}

// quiet is how long one kind of message is not logged again.
const quiet = 10 * time.Second

// warn logs, unless the same was logged a short while ago; then it counts.
func (d *Dataplane) warn(t *throttle, message string, attrs ...any) {
	now, next := time.Now().UnixNano(), t.next.Load()
	if now < next || !t.next.CompareAndSwap(next, now+int64(quiet)) {
		t.unsaid.Add(1)
		return
	}
	d.log.Warn(message, append(attrs, "suppressed", t.unsaid.Swap(0))...)
}
