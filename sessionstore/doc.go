// Package sessionstore is the contract of lvsession: what a session is, what a [Store] promises, and the [Service]
// that turns a store of hashed keys into the operations that applications use.
//
// There are two layers.
//
//   - A [Store] keeps sessions under a [Key], the hash of a namespace and a session id. It knows nothing of ids,
//     policies or waiting. Package memory, embedded and ndb hold one store each; package storetest holds the suite that
//     each of them passes.
//   - [Sessions] is the application's view of one namespace: open, read, write, touch, destroy, regenerate, close and
//     gc, by session id. [Service] implements it over any store; package client implements it over HTTP against a
//     remote sessiond. Package gorilla and package middleware build on it.
//
// # Caveats
//
// Time-outs are compared with the clock of the process that asks. Where several sessionds share a store their clocks
// must agree, as NTP makes them, to within what a user may notice; a lease must be longer than any clock difference.
package sessionstore
