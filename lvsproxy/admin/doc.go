// Package admin lets another process look at a running director: over a Unix socket that serves its table, and as the
// text that ipvsadm would print.
//
// The socket speaks HTTP/1.1. GET /v1/table answers with a JSON array of service.Snapshot.
package admin
