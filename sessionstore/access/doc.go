// Package access decides who may use a session service and how much: secrets by namespace, TLS whose certificates are
// replaced without a restart, and a limit on how fast one client address creates sessions. Both faces of the service
// share it.
package access
