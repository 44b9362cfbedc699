// Package client reaches a remote sessiond, or several of them, over the HTTP API of docs/http-api.md. Its [Client] is a
// [sessionstore.Sessions]; packages gorilla and middleware work on it as they do on a service in the same process.
//
// # Several endpoints
//
// All sessionds of a deployment share one store, so any of them can do any operation. A client spreads sessions over its
// endpoints by their ids: requests of one session meet in one sessiond, whichever real server sends them, and there
// wait for the session's lease in order of arrival. With [Options].InOrder it prefers the endpoints in the order given
// instead, for a sessiond on the same machine and another one as a reserve.
//
// An operation that an endpoint does not answer, or answers with 503, goes to the next one. The failed endpoint is
// avoided for a time that grows from [Options].Avoid while it stays away; then one request tries it again, and the
// others follow once that one was answered. Where no endpoint is left, one request at a time tries each, and the others
// fail at once.
//
// # Unknown outcomes
//
// When a connection breaks after a request was sent, the request may have taken effect. It is repeated on the next
// endpoint all the same, because that does less harm than an error:
//
//   - A last-writer-wins write may take effect twice, and undo another one that came in between. Whoever minds names the
//     version, or holds the lease.
//   - A write on a condition that is refused with a conflict when repeated is settled by reading: if the session is at the
//     version that the write would have made, with the payload that it would have left, the write is taken to have
//     succeeded. Two writers that hold the same version, without a lease, and leave the very same bytes cannot be told
//     apart there. If yet another writer came after it, the conflict stands, although the write took effect in between.
//     So it is for a write that releases its lease, which is a condition that it ends itself.
//   - A regenerated session is regenerated once more: within the grace time the old id leads to the new one all the
//     same. With Drop there is no such time, and the answer that was lost had the only copy of the new id: the repeated
//     request fails with [sessionstore.ErrDestroyed], and the visitor logs in again.
//   - A lease that was granted but whose answer was lost is held by nobody and ends by itself.
//
// # Caveats
//
// [sessionstore.Session].Key is the key of the id asked for, also when that id is an alias: the API does not tell.
// Retry-After counts whole seconds, so a [sessionstore.LockedError] may name an end up to a second late.
package client
