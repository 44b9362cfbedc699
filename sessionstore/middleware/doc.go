// Package middleware gives the handlers of a plain net/http program a session each.
//
//	sessions, err := middleware.New(shop, middleware.Options{})
//	http.ListenAndServe(addr, sessions.Wrap(mux))
//
// A handler asks for the session of its request with [Get], which loads it. What the handler changed is stored once,
// right before the first byte of the answer or, if the handler answers nothing, at its end: a visitor who sees the
// answer finds the session on the next request, whichever real server gets it. Handlers that ask for no session cost
// nothing, and a new session into which nothing is put is not stored and sets no cookie.
//
// # When the store is away
//
// [Get] returns an error; what the handler makes of it is its own matter. The cookie stays as it is and nothing is
// destroyed. If the session was loaded but cannot be stored, the visitor gets the answer of [Options].ErrorHandler, by
// default a 503, in place of the handler's: never an answer that says "saved" when nothing was.
//
// # Caveats
//
// Changes after the first byte of the answer come too late and are refused with [ErrCommitted]. A handler that takes
// over the connection has its session stored before, but a cookie only if it writes the answer's header itself.
package middleware
