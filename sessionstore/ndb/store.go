package ndb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/ndb/internal/lane"
)

// Options say where the store's tables are.
type Options struct {
	// DSNs has one data source name in go-sql-driver's form for each SQL node of the cluster, at least one:
	// user:password@tcp(host:port)/database. All lead to the same tables.
	DSNs []string
	// Connections is how many connections each node gets at most; 0 means 64.
	Connections int
	// Now is the clock; nil means [time.Now].
	Now sessionstore.Clock
	// Log gets a line when an SQL node fails or comes back; nil means nobody does.
	Log *slog.Logger
}

const defaultConnections = 64

// Store is a [sessionstore.Store] and [sessionstore.Checker] in SQL tables.
type Store struct {
	nodes *nodes
	now   sessionstore.Clock

	reads   *lane.Lanes[sessionstore.Key, sessionstore.Session]
	changes *lane.Lanes[change, effect]

	operations
}

var (
	_ sessionstore.Store        = (*Store)(nil)
	_ sessionstore.Checker      = (*Store)(nil)
	_ sessionstore.Walker       = (*Store)(nil)
	_ sessionstore.SubjectStore = (*Store)(nil)
	_ sessionstore.Importer     = (*Store)(nil)
	_ sessionstore.Backlogger   = (*Store)(nil)
	_ sessionstore.Passer       = (*Store)(nil)
)

// Open opens the store. At least one SQL node must answer and have the schema that package schema describes; the others
// may come later. The error is a [sessionstore.UnavailableError], or says what is wrong with the options.
func Open(ctx context.Context, o Options) (*Store, error) {
	if len(o.DSNs) == 0 {
		return nil, errors.New("no DSN: want one for each SQL node")
	}
	if o.Connections < 0 {
		return nil, fmt.Errorf("%d connections", o.Connections)
	}
	if o.Connections == 0 {
		o.Connections = defaultConnections
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{now: o.Now, nodes: &nodes{log: o.Log}}
	s.reads = lane.New(readLanes(len(o.DSNs)), s.readBatch)
	s.changes = lane.New(changeLanes(len(o.DSNs)), s.changeBatch)
	for i, dsn := range o.DSNs {
		x, err := newNode(dsn, o.Connections)
		if err != nil {
			s.nodes.close()
			return nil, fmt.Errorf("DSN %d of %d: %w", i+1, len(o.DSNs), err)
		}
		s.nodes.list = append(s.nodes.list, x)
	}
	if err := s.nodes.open(ctx); err != nil {
		s.nodes.close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, unavailable("open", time.Second, err)
	}
	return s, nil
}

// Ping implements [sessionstore.Store].
func (s *Store) Ping(ctx context.Context) error {
	if !s.begin() {
		return unavailable("ping", 0, errClosed)
	}
	defer s.working.Done()
	err := s.nodes.ping(ctx)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		return unavailable("ping", time.Second, err)
	}
}

// Close implements [sessionstore.Store]. It waits for operations in progress.
func (s *Store) Close() error {
	if !s.end() {
		return nil
	}
	s.reads.Wait()
	s.changes.Wait()
	return s.nodes.close()
}

// clock returns the time in Unix milliseconds.
func (s *Store) clock() int64 { return s.now().UnixMilli() }
