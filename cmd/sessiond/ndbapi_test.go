//go:build ndbapi

package main

// noCluster is what a sessiond says whose management node does not answer.
const noCluster = "Could not connect to socket"
