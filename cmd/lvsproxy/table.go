package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/admin"
)

// tableTimeout bounds how long "lvsproxy table" waits for the director.
const tableTimeout = 30 * time.Second

// printTable is "lvsproxy table".
func printTable(o options, stdout, stderr io.Writer) int {
	ctx, cancel := context.WithTimeout(context.Background(), tableTimeout)
	defer cancel()
	table, err := admin.Table(ctx, o.admin)
	if err == nil {
		err = admin.List(stdout, table)
	}
	if err != nil {
		fmt.Fprintf(stderr, "lvsproxy: %v\n", err)
		return exitFailed
	}
	return exitOK
}
