// Package ndbcluster starts a small, real MySQL NDB Cluster on loopback, for tests and benchmarks: one management node,
// data nodes with two replicas, SQL nodes. Starting takes about 12 s and 2 GB of memory, so a package's tests share one,
// see [Shared]; a test that kills nodes starts its own, see [Start].
//
// A cluster never outlives the process that started it.
package ndbcluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lvsession/lvsession/bench/rig/child"
)

// Options say what cluster to start. Zero fields take the defaults.
type Options struct {
	Data     int // data nodes: 1, or an even number; default 2
	SQL      int // SQL nodes; default 2
	MemoryMB int // DataMemory of each data node; default 200
}

func (o *Options) fill() error {
	for _, f := range []struct {
		field *int
		value int
	}{{&o.Data, 2}, {&o.SQL, 2}, {&o.MemoryMB, 200}} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	if o.Data < 1 || o.Data > 4 || o.Data > 1 && o.Data%2 != 0 || o.SQL < 1 || o.SQL > 8 {
		return fmt.Errorf("ndbcluster: %d data nodes and %d SQL nodes; want 1, 2 or 4, and 1 to 8", o.Data, o.SQL)
	}
	return nil
}

// Node ids in the cluster: data nodes count from 1, SQL nodes from firstSQL+1.
const (
	managementID = 49
	firstSQL     = 50
	firstAPI     = 70
	apiNodes     = 6 // for programs that are nodes of the cluster themselves
)

// Account of the SQL nodes, and the database that DSNs name. The password guards nothing: the nodes listen on loopback
// for the time of a test.
const account = "lvsession"

// Cluster is a running cluster. Its nodes are called "mgmd", "data1", "data2", …, "sql1", "sql2", ….
type Cluster struct {
	kit      *Kit
	dir      string
	options  Options
	connect  string // of the management node, host:port
	sqlPorts []int

	mu    sync.Mutex
	nodes map[string]*child.Process
}

// StartDir starts a cluster whose files lie in dir, which must be empty or not exist, and returns once all SQL nodes
// answer. The caller stops it with [Cluster.Stop] and removes dir.
func StartDir(ctx context.Context, dir string, o Options) (*Cluster, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	kit, err := Find()
	if err != nil {
		return nil, err
	}
	c := &Cluster{kit: kit, dir: dir, options: o, nodes: map[string]*child.Process{}}
	if err := c.configure(); err != nil {
		return nil, err
	}
	if err := c.start(ctx); err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

// configure chooses ports and writes the cluster's configuration.
func (c *Cluster) configure() error {
	port, err := child.Port()
	if err != nil {
		return err
	}
	c.connect = fmt.Sprintf("127.0.0.1:%d", port)
	replicas := min(c.options.Data, 2)
	var b strings.Builder
	fmt.Fprintf(&b, "[ndbd default]\nNoOfReplicas=%d\nDataMemory=%dM\n%s", replicas, c.options.MemoryMB, settings)
	fmt.Fprintf(&b, "[ndb_mgmd]\nNodeId=%d\nHostName=127.0.0.1\nPortNumber=%d\nDataDir=%s\n", managementID, port, c.path("mgmd"))
	names := []string{"mgmd"}
	for i := 1; i <= c.options.Data; i++ {
		port, err := child.Port()
		if err != nil {
			return err
		}
		name := "data" + strconv.Itoa(i)
		names = append(names, name)
		fmt.Fprintf(&b, "[ndbd]\nNodeId=%d\nHostName=127.0.0.1\nServerPort=%d\nDataDir=%s\n", i, port, c.path(name))
	}
	for i := 1; i <= c.options.SQL; i++ {
		port, err := child.Port()
		if err != nil {
			return err
		}
		c.sqlPorts = append(c.sqlPorts, port)
		names = append(names, "sql"+strconv.Itoa(i))
		fmt.Fprintf(&b, "[mysqld]\nNodeId=%d\nHostName=127.0.0.1\n", firstSQL+i)
	}
	for i := range apiNodes {
		fmt.Fprintf(&b, "[api]\nNodeId=%d\n", firstAPI+i)
	}
	for _, name := range names {
		if err := os.MkdirAll(c.path(name), 0o755); err != nil {
			return err
		}
	}
	return os.WriteFile(c.path("config.ini"), []byte(b.String()), 0o644)
}

// settings keep a data node small and make it notice the loss of another within seconds.
const settings = `SharedGlobalMemory=20M
LongMessageBuffer=8M
RedoBuffer=32M
NoOfFragmentLogFiles=8
FragmentLogFileSize=32M
InitFragmentLogFiles=SPARSE
DiskPageBufferMemory=4M
MaxNoOfConcurrentOperations=20000
MaxNoOfConcurrentTransactions=4096
TransactionDeadlockDetectionTimeout=1200
HeartbeatIntervalDbDb=1500
HeartbeatIntervalDbApi=1500
AutomaticThreadConfig=0
MaxNoOfExecutionThreads=2
`

func (c *Cluster) start(ctx context.Context) error {
	if err := c.launch("mgmd", "--initial"); err != nil {
		return err
	}
	if err := c.await(ctx, "mgmd", dials(c.connect)); err != nil {
		return err
	}
	for i := 1; i <= c.options.Data; i++ {
		if err := c.launch("data"+strconv.Itoa(i), "--initial"); err != nil {
			return err
		}
	}
	var all errgroup.Group
	for i := 1; i <= c.options.SQL; i++ {
		all.Go(func() error { return c.Boot(ctx, "sql"+strconv.Itoa(i)) })
	}
	return all.Wait()
}

// Boot starts a node that was killed and returns once it takes part in the cluster again.
func (c *Cluster) Boot(ctx context.Context, node string) error {
	if strings.HasPrefix(node, "sql") {
		if err := c.initialize(ctx, node); err != nil {
			return err
		}
	}
	if err := c.launch(node); err != nil {
		return err
	}
	switch {
	case node == "mgmd":
		return c.await(ctx, node, dials(c.connect))
	case strings.HasPrefix(node, "data"):
		return c.await(ctx, node, c.dataNodeStarted(node))
	default:
		return c.await(ctx, node, c.sqlNodeReady(node))
	}
}

// launch starts a node's process.
func (c *Cluster) launch(node string, extra ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.nodes[node]; p != nil && p.Alive() {
		return fmt.Errorf("ndbcluster: %s runs already", node)
	}
	cmd, err := c.command(node, extra)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(c.log(node), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.path(node), log, log
	p, err := child.Start(cmd)
	if err != nil {
		return err
	}
	c.nodes[node] = p
	return nil
}

// await polls until ready says so, the node's process ends, or the context does.
func (c *Cluster) await(ctx context.Context, node string, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	p := c.process(node)
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.Done():
			return fmt.Errorf("ndbcluster: %s ended: %v\n%s", node, p.Err(), child.Tail(c.log(node), 20))
		case <-ctx.Done():
			return fmt.Errorf("ndbcluster: %s is not ready: %w\n%s", node, err, child.Tail(c.log(node), 20))
		case <-tick.C:
		}
	}
}

// Kill ends a node with SIGKILL and waits until its process is gone.
func (c *Cluster) Kill(node string) error {
	p := c.process(node)
	if p == nil {
		return fmt.Errorf("ndbcluster: there is no node %q", node)
	}
	p.Kill()
	return nil
}

// Signal sends a signal to a node, SIGSTOP say, to make it hang.
func (c *Cluster) Signal(node string, s syscall.Signal) error {
	p := c.process(node)
	if p == nil {
		return fmt.Errorf("ndbcluster: there is no node %q", node)
	}
	return p.Signal(s)
}

// Stop kills all nodes and waits until they are gone.
func (c *Cluster) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all sync.WaitGroup
	for _, p := range c.nodes {
		all.Go(p.Kill)
	}
	all.Wait()
}

// DSNs returns one DSN for each SQL node, in go-sql-driver's form; they name an empty database.
func (c *Cluster) DSNs() (list []string) {
	for _, port := range c.sqlPorts {
		list = append(list, fmt.Sprintf("%s:%s@tcp(127.0.0.1:%d)/%s", account, account, port, account))
	}
	return list
}

// Connect returns the address of the management node, host:port.
func (c *Cluster) Connect() string { return c.connect }

func (c *Cluster) process(node string) *child.Process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[node]
}

func (c *Cluster) path(name string) string { return filepath.Join(c.dir, name) }

func (c *Cluster) log(node string) string { return filepath.Join(c.dir, node, "log") }
