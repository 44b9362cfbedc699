// Package visits puts session stores in MySQL NDB Cluster under the load of visits, beside one SQL statement an operation,
// and tells what each costs in CPU time.
package visits
