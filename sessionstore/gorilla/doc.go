// Package gorilla keeps the sessions of github.com/gorilla/sessions in lvsession. Its [Store] takes the place of a
// CookieStore, FilesystemStore, redistore or gormstore; handlers stay as they are.
//
// The cookie holds the session's id, signed with the first of the key pairs; the values stay on the server, in gob
// unless [Store].Serializer says otherwise.
//
// # What a handler sees
//
//   - A visitor whose session is not in the store, because it expired, was destroyed, or never was, gets a new one, with
//     IsNew set and no error. Its id is always fresh: one that came from outside is never adopted.
//   - When the store cannot be reached, Get and New return the error and a new, empty session, as gorilla's contract has
//     it. Saving that session fails with the same error, writes nothing and sends no cookie, even if the handler ignored
//     the first error: an outage logs nobody out.
//   - When the cookie or the values cannot be decoded, Get and New return the error and a new session, which can be
//     saved. It gets an id of its own; what was stored is left to expire.
//     (A session of PHP's that PHP can read and this package cannot is not left: saving it fails.)
//   - Options.MaxAge below 0 destroys the session in the store and deletes the cookie. MaxAge above 0 is also the
//     session's idle time-out; with 0 the cookie lives as long as the browser, and the service's policy decides.
//     (FilesystemStore and redistore delete at 0.)
//   - Save always writes, last writer wins, as all gorilla stores do; see [Store].Optimistic. Saving a session that was
//     destroyed meanwhile fails with [sessionstore.ErrDestroyed].
//
// # With PHP
//
// [NewPHP] shares the sessions of PHP pages: cookie, format and values are PHP's.
//
// # Caveats
//
// Values of your own types need gob.Register, as with the other stores. Gorilla formats the errors of
// [sessions.Save], the function, as text; call the session's own Save to use errors.Is.
package gorilla
