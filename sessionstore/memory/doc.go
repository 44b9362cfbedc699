// Package memory holds sessions in the process: for tests, for development, and for whoever can afford to lose every
// session with the process. It keeps every promise of [sessionstore.Store] but durability, and is the model that
// package storetest compares the other stores with.
package memory
