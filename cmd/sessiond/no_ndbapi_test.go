//go:build !ndbapi

package main

// noCluster is what a sessiond says that knows no NDB API.
const noCluster = "built without the tag ndbapi"
