// Package wholepath proves the whole product on real parts: users with browsers' cookie jars, the director, real servers
// of PHP (php-fpm behind nginx) and of Go, two sessionds, and an NDB Cluster of two data nodes and two SQL nodes. While
// the load runs, one part of each kind is killed, and not one acknowledged visit may be lost.
//
// A second test puts a PHP page and a Go page behind one virtual service, and one session behind both.
//
// There is nothing here but tests: go test -v ./bench/wholepath
package wholepath
