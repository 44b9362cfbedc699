// ndbkit prints what a shell needs to build and run with the build tag ndbapi, from MySQL NDB Cluster in $NDB_HOME, or
// unpacked beside the checkout:
//
//	eval "$(go run ./bench/rig/ndbkit)"
//	go build -tags ndbapi ./cmd/sessiond
//
// Where libndbclient and its headers come from packages (libndbclient-dev, mysql-cluster-community-devel) it prints flags for
// where those put them.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/lvsession/lvsession/bench/rig/ndbcluster"
)

func main() {
	env, err := ndbcluster.BuildEnv()
	if err != nil {
		fmt.Fprintln(os.Stderr, "ndbkit:", err)
		os.Exit(1)
	}
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		fmt.Printf("export %s='%s'\n", name, value)
	}
}
