// Package load loads a virtual service with users who count in their sessions, and proves from the answers that no
// session was lost, mixed up or counted wrongly. Command vipbench is its face; end-to-end tests call [Run].
//
// # The counter page
//
// The target is a page on every real server that counts the visits of its session. Its contract:
//
//   - The request is GET with the query parameter user, a name of up to 64 bytes, and Accept: application/json. A
//     visitor without a session gets a new one and its cookie.
//   - The page adds one to the session's count, and with the first visit stores the user's name in the session. From
//     then on it ignores the parameter and returns the stored name, so that a visitor who is given another's session
//     notices.
//   - It answers only once the session is stored: status 200, Content-Type: application/json, no caching, and a body of
//     at most 64 KiB such as
//
// {"server":"web1","id":"5d41402a","count":7,"user":"u17"}
//
// where server names the real server that answered, id is the first 8 hexadecimal digits of SHA-256 of the session id
// (enough to tell sessions apart, useless to take one over), count is the number of visits including this one, and user
// is the stored name. Other members are ignored. When the session cannot be read or stored the page answers with another
// status, best 503.
//
// That is the simple contract. The whole one adds query parameters:
//
//   - do=read changes nothing and answers as a visit does; the count of a session that is not there is 0. do=login counts and
//     moves the session to a new id. do=logout answers as do=read does and destroys the session.
//   - payload=N has a visit or login store N bytes beside the count, by the rule of [Payload]; without it, none. The answer
//     has the members size and hash of the payload that was in the session before, as [Answer] says.
//
// Package counterpage is the page for Go servers.
//
// # What is proven
//
// An answer of status 200 that keeps the contract is acknowledged; any other outcome is an error, and after it nobody
// knows whether the visit was counted. [Verifier] has the rules, one for each user; [Violation] lists what can be broken.
//
// # Latency
//
// Latency runs from the intended start of a request to the last byte of its answer. With [Config].Rate the schedule
// fixes the intended starts beforehand: while the target stalls, requests go on falling due and their waiting counts, so
// that a stall is not hidden by the requests that it prevented (coordinated omission). Without a rate a user's next
// request is intended when the user has its turn, which is at once after its previous answer unless Concurrency is less
// than Users.
//
// # Caveats
//
// The harness runs on a machine with limits of its own. [Result] tells how late the harness itself was (Lag), how often
// Concurrency held a due request back (Held), and counts errors of the own machine, such as no free port, apart (class
// "local"). Only http is spoken, not https.
package load
