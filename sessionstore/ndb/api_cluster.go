package ndb

import (
	"sync"
	"time"

	"github.com/lvsession/lvsession/sessionstore/ndb/internal/api"
)

// connectTime is how long to wait for a management node, and then for a data node.
const connectTime = 5 * time.Second

// connections are the clusters that the process takes part in, by their management nodes. To join takes seconds, and a node
// slot of the cluster's configuration, so stores on one cluster share it.
var connections struct {
	sync.Mutex
	of map[string]*connection
}

// connection is a cluster with the number of stores that use it.
type connection struct {
	api.Cluster
	nodes string
	users int
}

// join returns the connection to a cluster, for which the caller must call leave.
func join(nodes string) (*connection, error) {
	connections.Lock()
	defer connections.Unlock()
	c := connections.of[nodes]
	if c == nil {
		cluster, err := api.Connect(api.Options{Nodes: nodes, Name: "lvsession", Seconds: int(connectTime / time.Second)})
		if err != nil {
			return nil, err
		}
		c = &connection{Cluster: cluster, nodes: nodes}
		if connections.of == nil {
			connections.of = map[string]*connection{}
		}
		connections.of[nodes] = c
	}
	c.users++
	return c, nil
}

// leave closes the connection after its last user.
func (c *connection) leave() {
	connections.Lock()
	defer connections.Unlock()
	if c.users--; c.users == 0 {
		delete(connections.of, c.nodes)
		c.Close()
	}
}
