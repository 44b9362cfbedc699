package ndb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/lvsession/lvsession/schema"
)

const (
	probeInterval = time.Second     // between two health checks of an SQL node
	probeTimeout  = 3 * time.Second // of one
)

// node is one SQL node.
type node struct {
	name string // address and database; no credentials
	db   *sqlx.DB
	wide *sqlx.DB     // connections for batches
	side *sql.DB      // one connection beside the pool, so that a probe never queues behind operations
	busy atomic.Int64 // operations in progress
	down atomic.Bool  // gets no work while another node can take it
	room atomic.Int64 // operations in progress beyond which others are preferred
	most int64        // of room
	poke chan struct{}
}

// back puts a node into service again. It gets one operation at first, and one more with each that succeeds, so that what
// waited for it does not come down on it at once: it has connections to open, and its caches are cold.
func (x *node) back() (was bool) {
	x.room.Store(1)
	return x.down.Swap(false)
}

// succeeded notes that an operation succeeded.
func (x *node) succeeded() {
	if room := x.room.Load(); room < x.most {
		x.room.CompareAndSwap(room, room+1) // whoever was faster has counted for us
	}
}

// full tells whether the node should be spared.
func (x *node) full() bool { return x.busy.Load() >= x.room.Load() }

// nodes are the SQL nodes of one cluster.
type nodes struct {
	list  []*node
	turn  atomic.Uint32 // breaks ties
	store [16]byte      // the store's id, the same on every node
	log   *slog.Logger

	stop    context.CancelFunc
	probers sync.WaitGroup
}

// pick returns the healthy node with the least to do, and with room for more, that is not among those tried. If no such node is healthy it
// returns one that is not, and nil once all were tried.
func (n *nodes) pick(tried map[*node]bool) *node {
	start := int(n.turn.Add(1))
	var best *node
	for i := range n.list {
		x := n.list[(start+i)%len(n.list)]
		if tried[x] {
			continue
		}
		if best == nil || better(x, best) {
			best = x
		}
	}
	return best
}

func better(a, b *node) bool {
	if down := a.down.Load(); down != b.down.Load() {
		return !down
	}
	if full := a.full(); full != b.full() {
		return !full
	}
	return a.busy.Load() < b.busy.Load()
}

// suspect takes a node out of service and has it probed at once.
func (n *nodes) suspect(x *node, err error) {
	if !x.down.Swap(true) {
		n.log.Warn("SQL node failed", "node", x.name, "error", err)
	}
	select {
	case x.poke <- struct{}{}:
	default: // a probe is under way
	}
}

// open starts to watch the nodes. It returns an error unless one of them, at least, has the right schema.
func (n *nodes) open(ctx context.Context) error {
	var errs []error
	healthy := 0
	for _, x := range n.list {
		err := n.adopt(ctx, x)
		if err != nil {
			x.down.Store(true)
			errs = append(errs, fmt.Errorf("SQL node %s: %w", x.name, err))
			continue
		}
		healthy++
	}
	if healthy == 0 {
		return errors.Join(errs...)
	}
	for _, err := range errs {
		n.log.Warn("SQL node is not usable yet", "error", err)
	}
	watch, stop := context.WithCancel(context.Background())
	n.stop = stop
	for _, x := range n.list {
		n.probers.Go(func() { n.watch(watch, x) })
	}
	return nil
}

// adopt checks a node's schema, and that it leads to the same store as the nodes adopted before.
func (n *nodes) adopt(ctx context.Context, x *node) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if err := schema.Check(ctx, x.side); err != nil {
		return err
	}
	id, err := schema.StoreID(ctx, x.side)
	if err != nil {
		return err
	}
	if n.store == ([16]byte{}) {
		n.store = id // only while open runs, since it fails unless it adopts a node
	}
	if id != n.store {
		return errOtherStore
	}
	return nil
}

// errOtherStore says that the DSNs lead to different stores.
var errOtherStore = errors.New("it leads to another store than the other DSNs; all must be SQL nodes of one cluster")

// watch probes a node until the context ends, and puts it out of service and back.
func (n *nodes) watch(ctx context.Context, x *node) {
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-x.poke:
		}
		err := n.probe(ctx, x)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && x.down.Load() && x.back():
			n.log.Info("SQL node is in service again", "node", x.name)
		case err != nil && !x.down.Swap(true):
			n.log.Warn("SQL node failed", "node", x.name, "error", err)
		}
	}
}

// probe tells whether a node can serve: it must answer from the store's own tables, since an SQL node that lost its data
// nodes answers everything else. A node that is down is checked as at the start.
func (n *nodes) probe(ctx context.Context, x *node) error {
	if x.down.Load() {
		return n.adopt(ctx, x)
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var found int
	return x.side.QueryRowContext(ctx, "SELECT COUNT(*) FROM session WHERE id = ''").Scan(&found)
}

// ping reports whether any node can serve.
func (n *nodes) ping(ctx context.Context) error {
	var errs []error
	tried := map[*node]bool{}
	for x := n.pick(tried); x != nil; x = n.pick(tried) {
		tried[x] = true
		err := n.probe(ctx, x)
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("SQL node %s: %w", x.name, err))
	}
	return errors.Join(errs...)
}

// close stops the probes and closes the pools.
func (n *nodes) close() error {
	if n.stop != nil {
		n.stop()
		n.probers.Wait()
	}
	var errs []error
	for _, x := range n.list {
		errs = append(errs, x.db.Close(), x.wide.Close(), x.side.Close())
	}
	return errors.Join(errs...)
}

// newNode opens a pool on the SQL node of a DSN.
func newNode(dsn string, connections int) (*node, error) {
	cfg, err := parseDSN(dsn)
	if err != nil {
		return nil, err
	}
	x := &node{name: cfg.Addr + "/" + cfg.DBName, most: int64(connections), poke: make(chan struct{}, 1)}
	x.room.Store(x.most)
	var pools [3]*sql.DB
	for i, settings := range [][]string{connectionSettings, batchSettings, connectionSettings} {
		if pools[i], err = openConfig(cfg, settings); err != nil {
			for _, pool := range pools[:i] {
				pool.Close()
			}
			return nil, fmt.Errorf("%s: %w", x.name, err)
		}
		pools[i].SetMaxOpenConns(connections)
		pools[i].SetMaxIdleConns(connections)
		pools[i].SetConnMaxIdleTime(5 * time.Minute) // less than any server's wait_timeout that one would set
	}
	x.db, x.wide, x.side = sqlx.NewDb(pools[0], "mysql"), sqlx.NewDb(pools[1], "mysql"), pools[2]
	x.side.SetMaxOpenConns(1)
	return x, nil
}
