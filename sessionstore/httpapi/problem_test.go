package httpapi

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/lvsession/lvsession/sessionstore"
)

// A store that does not know whether a write took effect may name what it found then as the cause.
func TestUnknownOutcomeIsNoConflict(t *testing.T) {
	s := &Server{opts: Options{Logger: slog.New(slog.DiscardHandler)}}
	for _, cause := range []error{sessionstore.ErrConflict, sessionstore.ErrDestroyed, sessionstore.ErrNotFound, errors.New("reset")} {
		var ctx fasthttp.RequestCtx
		s.answerError(&ctx, "write", &sessionstore.UnavailableError{Op: "write", Cause: cause})
		if got := ctx.Response.StatusCode(); got != 503 {
			t.Errorf("unavailable because of %q is answered with %d", cause, got)
		}
	}
}
