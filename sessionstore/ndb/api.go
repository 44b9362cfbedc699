package ndb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"time"

	"github.com/lvsession/lvsession/schema"
	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/ndb/internal/api"
	"github.com/lvsession/lvsession/sessionstore/ndb/internal/lane"
)

// ErrNoAPI says that the program was built without the tag ndbapi, which [OpenAPI] needs.
var ErrNoAPI = api.ErrNotBuilt

// APIOptions say where the tables are for a store that does without SQL nodes.
type APIOptions struct {
	// Connect has the cluster's management nodes, HOST:PORT, separated by commas.
	Connect string
	// Database has the tables, which `sessiond schema apply` makes through an SQL node.
	Database string
	// Workers is how many threads work at most; 0 means 12. Each holds about 2 MB, and the cluster's configuration must
	// have one [api] or [mysqld] section for each store.
	Workers int
	// Now is the clock; nil means [time.Now].
	Now sessionstore.Clock
	// Log gets a line when the cluster fails or comes back; nil means nobody does.
	Log *slog.Logger
}

const (
	defaultWorkers = 12
	apiLanes       = 4 // of reads, and as many of changes
)

// APIStore is a [sessionstore.Store] and [sessionstore.Checker] in the same tables as [Store], reached by the NDB API: it is a
// node of the cluster itself. Both may serve the tables at the same time.
type APIStore struct {
	cluster  *connection
	database string
	workers  chan *apiWorker
	now      sessionstore.Clock
	log      *slog.Logger

	reads   *lane.Lanes[sessionstore.Key, sessionstore.Session]
	changes *lane.Lanes[change, effect]

	operations
	failing bool // under the operations' mu: the cluster was out of reach last
}

var (
	_ sessionstore.Store        = (*APIStore)(nil)
	_ sessionstore.Checker      = (*APIStore)(nil)
	_ sessionstore.Walker       = (*APIStore)(nil)
	_ sessionstore.SubjectStore = (*APIStore)(nil)
	_ sessionstore.Importer     = (*APIStore)(nil)
	_ sessionstore.Backlogger   = (*APIStore)(nil)
	_ sessionstore.Passer       = (*APIStore)(nil)
)

// apiWorker is a place in the pool; its worker is opened when it is needed first, and again after the tables changed.
type apiWorker struct{ api.Worker }

// OpenAPI opens the store. A management node and a data node must answer, and the database must have the schema that package
// schema describes. The error is [ErrNoAPI], a [sessionstore.UnavailableError], or says what is wrong with the options.
func OpenAPI(ctx context.Context, o APIOptions) (*APIStore, error) {
	switch {
	case o.Connect == "":
		return nil, errors.New("no management node: want HOST:PORT")
	case o.Database == "":
		return nil, errors.New("no database")
	case o.Workers < 0:
		return nil, fmt.Errorf("%d workers", o.Workers)
	}
	if o.Workers == 0 {
		o.Workers = defaultWorkers
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	cluster, err := join(o.Connect)
	if errors.Is(err, api.ErrNotBuilt) {
		return nil, err
	}
	if err != nil {
		return nil, unavailable("open", time.Second, err)
	}
	s := &APIStore{cluster: cluster, database: o.Database, now: o.Now, log: o.Log, workers: make(chan *apiWorker, o.Workers)}
	for range o.Workers {
		s.workers <- &apiWorker{}
	}
	lanes := min(apiLanes, max(1, o.Workers/3))
	s.reads = lane.New(lane.Options{Lanes: lanes, MaxBatch: api.Slots, MaxBytes: api.Slots * inlineSize, Repeat: true}, s.readBatch)
	s.changes = lane.New(lane.Options{Lanes: lanes, MaxBatch: api.Slots, MaxBytes: 1 << 20}, s.changeBatch)
	if err := s.checkSchema(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// RaiseProcs raises GOMAXPROCS by the reads' lanes, unless the environment sets it. It is for a program that serves an [APIStore]: a
// call into C keeps one of Go's processors until the runtime's monitor takes it away, and with one processor a core the
// lanes that wait for data nodes would keep the cores from everything else.
func RaiseProcs() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + apiLanes)
	}
}

// checkSchema opens the tables and compares their version with the program's.
func (s *APIStore) checkSchema(ctx context.Context) error {
	_, err := apiRun(ctx, s, "open", func(api.Worker, *attempt) (none struct{}, err error) { return none, nil })
	if api.Is(err, errNoTable) {
		return fmt.Errorf("database %s: %w", s.database, schema.ErrMissing)
	}
	return err
}

// checkVersion compares the tables' version with the program's.
func checkVersion(w api.Worker) error {
	version := -1
	err := w.Scan(api.Versions, api.WholeTable, func() bool {
		version = max(version, int(w.Ops()[0].VersionRow().Version))
		return true
	})
	if err != nil {
		return err
	}
	if err := schema.Fits(version); err != nil {
		return unavailable("open the tables", 5*time.Second, err)
	}
	return nil
}

// errNoTable is NDB's number for a table that does not exist.
const errNoTable = 723

// Close implements [sessionstore.Store]. It waits for operations in progress.
func (s *APIStore) Close() error {
	if !s.end() {
		return nil
	}
	s.reads.Wait()
	s.changes.Wait()
	for range cap(s.workers) {
		if w := <-s.workers; w.Worker != nil {
			w.Close(false)
		}
	}
	s.cluster.leave()
	return nil
}

// clock returns the time in Unix milliseconds.
func (s *APIStore) clock() int64 { return s.now().UnixMilli() }

// worker takes a worker out of the pool, and opens it if it has to be.
func (s *APIStore) worker() (*apiWorker, error) {
	w := <-s.workers
	if w.Worker != nil {
		return w, nil
	}
	opened, err := s.cluster.Worker(s.database)
	if err == nil {
		if err = checkVersion(opened); err != nil {
			opened.Close(true)
		}
	}
	if err != nil {
		s.workers <- w
		return nil, err
	}
	w.Worker = opened
	return w, nil
}

// done puts a worker back. One that met an error of the tables' definition is opened anew before it works again.
func (s *APIStore) done(w *apiWorker, err error) {
	if isStale(err) {
		w.Close(true)
		w.Worker = nil
	}
	s.workers <- w
}

// isStale tells whether what is known of the tables may be outdated: they were altered or made anew, or the cluster was gone.
func isStale(err error) bool {
	var e *api.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case 241, 283, 284, 723, 709, 1226, 4009, 4035:
		return true
	}
	return false
}

// apiWork is what an operation does with a worker. It must be repeatable.
type apiWork[T any] func(w api.Worker, a *attempt) (T, error)

// apiRun is [run] for the NDB API.
func apiRun[T any](ctx context.Context, s *APIStore, op string, do apiWork[T]) (T, error) {
	if !s.begin() {
		var none T
		return none, unavailable(op, 0, errClosed)
	}
	defer s.working.Done()
	return apiResume(ctx, s, op, &attempt{stamp: rand.Uint64()}, do)
}

// apiResume is [resume] for the NDB API.
func apiResume[T any](ctx context.Context, s *APIStore, op string, a *attempt, do apiWork[T]) (T, error) {
	return leave(ctx, &s.working, func() (T, error) { return apiTries(ctx, s, op, a, do) })
}

// apiTries repeats the work until it is done or hopeless.
func apiTries[T any](ctx context.Context, s *APIStore, op string, a *attempt, do apiWork[T]) (value T, err error) {
	pause := firstPause
	for try := 1; ; try++ {
		value, err = apiOnce(s, a, do)
		if err == nil || isContract(err) {
			s.notice(nil)
			return value, err
		}
		if ctx.Err() != nil {
			return value, ctx.Err()
		}
		c := classify(err)
		s.notice(err)
		a.again, a.uncertain = true, a.uncertain || c.uncertain()
		switch {
		case c == full:
			return value, unavailable(op, 10*time.Second, err)
		case c == broken && !isStale(err):
			return value, unavailable(op, 5*time.Second, err)
		case try == maxTries:
			return value, unavailable(op, time.Second, err)
		}
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-ctx.Done():
			return value, ctx.Err()
		}
		pause *= 3
	}
}

func apiOnce[T any](s *APIStore, a *attempt, do apiWork[T]) (value T, err error) {
	w, err := s.worker()
	if err != nil {
		return value, err
	}
	defer func() { s.done(w, err) }()
	return do(w, a)
}

// notice logs when the cluster fails, and when it serves again.
func (s *APIStore) notice(err error) {
	failing := err != nil && isStale(err)
	s.mu.Lock()
	changed := failing != s.failing && (failing || err == nil)
	if changed {
		s.failing = failing
	}
	s.mu.Unlock()
	switch {
	case changed && failing:
		s.log.Warn("NDB cluster does not serve", "err", err)
	case changed:
		s.log.Info("NDB cluster serves again")
	}
}

// apiTransaction does the work in a transaction that begins at the node of a key.
func apiTransaction[T any](w api.Worker, key sessionstore.Key, do func(transaction) (T, error)) (value T, err error) {
	if err := w.Begin((*[32]byte)(&key)); err != nil {
		return value, err
	}
	tx := &apiRows{w: w}
	if value, err = do(transaction{tx}); err != nil {
		w.Rollback()
		return value, err
	}
	if !tx.changed {
		w.Rollback()
		return value, nil
	}
	if err := raced(w.Commit()); err != nil {
		return value, &commitError{err}
	}
	return value, nil
}

// Ping implements [sessionstore.Store].
func (s *APIStore) Ping(ctx context.Context) error {
	_, err := apiRun(ctx, s, "ping", func(w api.Worker, _ *attempt) (none struct{}, err error) {
		o := &w.Ops()[0]
		o.Row.ID = [32]byte{}
		w.Read(1, api.RowHeads)
		if o.Code != 0 && o.Code != api.NoRow {
			err = w.Describe(o)
		}
		return none, err
	})
	return err
}
