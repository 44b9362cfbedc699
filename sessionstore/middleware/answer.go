package middleware

import (
	"bufio"
	"io"
	"maps"
	"net"
	"net/http"
)

// answer is the handler's response writer. It commits the session before the first byte goes out.
type answer struct {
	http.ResponseWriter
	visit   *visit
	before  http.Header // what the header held when the handler got it
	begun   bool
	failure error // of the commit: what the handler writes is not sent
}

// begin commits the session, and answers itself if that fails.
func (a *answer) begin() error {
	if a.begun {
		return a.failure
	}
	a.begun = true
	a.failure = a.visit.commit(a.Header())
	a.visit.release() // nobody should wait until the answer is through
	if a.failure != nil {
		a.visit.opts.Logger.Warn("request is not answered: its session could not be saved", "error", a.failure)
		clear(a.Header())
		maps.Copy(a.Header(), a.before)
		a.visit.opts.ErrorHandler(a.ResponseWriter, a.visit.request, a.failure)
	}
	return a.failure
}

// finish is the end of a handler that answered nothing.
func (a *answer) finish() { a.begin() }

// WriteHeader implements [http.ResponseWriter]. Informational answers begin nothing.
func (a *answer) WriteHeader(status int) {
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		if !a.begun {
			a.ResponseWriter.WriteHeader(status)
		}
		return
	}
	if a.begin() == nil {
		a.ResponseWriter.WriteHeader(status)
	}
}

// Write implements [http.ResponseWriter]. If the session could not be saved it fails with that error.
func (a *answer) Write(b []byte) (int, error) {
	if err := a.begin(); err != nil {
		return 0, err
	}
	return a.ResponseWriter.Write(b)
}

// ReadFrom implements [io.ReaderFrom], so that files still go out by sendfile.
func (a *answer) ReadFrom(r io.Reader) (int64, error) {
	if err := a.begin(); err != nil {
		return 0, err
	}
	return io.Copy(a.ResponseWriter, r)
}

// Unwrap gives [http.ResponseController] the server's own writer, for deadlines and the like.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) flush() error {
	if err := a.begin(); err != nil {
		return err
	}
	return http.NewResponseController(a.ResponseWriter).Flush()
}

func (a *answer) hijack() (net.Conn, *bufio.ReadWriter, error) {
	if err := a.begin(); err != nil {
		return nil, nil, err
	}
	return http.NewResponseController(a.ResponseWriter).Hijack()
}

type flusher struct{ a *answer }

// Flush implements [http.Flusher].
func (f flusher) Flush() { f.a.flush() }

// FlushError is what [http.ResponseController] calls.
func (f flusher) FlushError() error { return f.a.flush() }

type hijacker struct{ a *answer }

// Hijack implements [http.Hijacker].
func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) { return h.a.hijack() }

// withAbilities returns the answer with those of Flush, Hijack and Push that the server's writer has, no more and no
// less: handlers ask for them by type assertion. Pushes, which are requests of their own, go past the session.
func (a *answer) withAbilities() http.ResponseWriter {
	_, flushes := find[http.Flusher](a.ResponseWriter)
	_, hijacks := find[http.Hijacker](a.ResponseWriter)
	f, h := flusher{a}, hijacker{a}
	if p, pushes := find[http.Pusher](a.ResponseWriter); pushes {
		return a.withPush(p, flushes, hijacks)
	}
	switch {
	case flushes && hijacks: // HTTP/1
		return struct {
			*answer
			flusher
			hijacker
		}{a, f, h}
	case flushes:
		return struct {
			*answer
			flusher
		}{a, f}
	case hijacks:
		return struct {
			*answer
			hijacker
		}{a, h}
	}
	return a
}

func (a *answer) withPush(p http.Pusher, flushes, hijacks bool) http.ResponseWriter {
	f, h := flusher{a}, hijacker{a}
	switch {
	case flushes && hijacks:
		return struct {
			*answer
			flusher
			hijacker
			http.Pusher
		}{a, f, h, p}
	case flushes: // HTTP/2
		return struct {
			*answer
			flusher
			http.Pusher
		}{a, f, p}
	case hijacks:
		return struct {
			*answer
			hijacker
			http.Pusher
		}{a, h, p}
	}
	return struct {
		*answer
		http.Pusher
	}{a, p}
}

// find looks for an ability in a writer and in those it wraps.
func find[T any](w http.ResponseWriter) (T, bool) {
	for {
		if t, ok := w.(T); ok {
			return t, true
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			var none T
			return none, false
		}
		w = u.Unwrap()
	}
}
