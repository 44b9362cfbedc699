// Package admin lets other processes look at a running director and change its table. It is what lvsadm speaks.
//
// A Unix socket, for the owner and the group of the director's process, speaks HTTP/1.1 with JSON:
//
//	GET  /v1/table     the table: an array of service.Snapshot
//	POST /v1/commands  an array of ipvsadm.Command that change something, carried out in order; answers with as many [Result]
//	GET  /v1/conns     the connections: a service.Conn a line
//	GET  /v1/timeouts  the time-outs of connections: an ipvsadm.Timeouts
//	GET  /v1/daemons   the connection synchronisation daemons: an array of ipvsadm.Daemon
//	GET  /v1/status    what is known of every service and server: a [Status]
//	GET  /v1/events    changes of the table: an [Event] a line, those that are remembered and then those that come
//
// and /metrics, /healthz and /readyz. What of this only looks can be served over TCP too; see [ReadOnly].
package admin
