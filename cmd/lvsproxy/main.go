// Command lvsproxy is the director: it reads an ldirectord.cf, takes the connections of its virtual services, and
// spreads them over the real servers that are alive. See docs/operator.md.
package main

import "os"

func main() {
	os.Exit(run(os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}
