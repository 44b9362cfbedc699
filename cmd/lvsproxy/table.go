package main

import (
	"context"
	"io"

	"github.com/lvsession/lvsession/lvsproxy/lvsadm"
)

// printTable is "lvsproxy table": what "lvsadm -L -n" prints.
func printTable(o options, stdout, stderr io.Writer) int {
	p := lvsadm.Program{Stdout: stdout, Stderr: stderr}
	noEnv := func(string) string { return "" }
	return p.Run(context.Background(), []string{"lvsproxy", "--admin", o.admin, "-L", "-n"}, noEnv)
}
