// Package golang holds sessiond to what Redis clients in Go do with it. It is a module of its own, so that they are no
// dependencies of the product. There is no code here, only tests.
package golang
