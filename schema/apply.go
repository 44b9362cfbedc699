package schema

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Errors of the server that Apply and Check tell apart.
const (
	errUnknownDatabase = 1049
	errNoSuchTable     = 1146
	errLockWait        = 1205
	errDeadlock        = 1213
	errTableExists     = 1050
	errTemporary       = 1297
)

// Apply brings the database to [Version] and returns the version found and the version left, 0 meaning none. It is
// idempotent, may be interrupted, and may run in several programs at once, on different SQL nodes too: one works, the
// others wait for it. The database itself must exist. A database that is newer than the program is left alone, with an
// error.
func Apply(ctx context.Context, db *sql.DB, engine string) (from, to int, err error) {
	return repeat(ctx, db, engine, logged)
}

// ApplyUnlogged is Apply, and makes tables of sessions that NDB keeps in the data nodes' memory and logs nowhere: writes cost
// less, each data node still has its copy in another, and when the whole cluster stops the sessions are gone. Tables that are
// there stay as they are.
func ApplyUnlogged(ctx context.Context, db *sql.DB, engine string) (from, to int, err error) {
	if engine != NDB {
		return 0, 0, fmt.Errorf("apply schema: engine %s has no unlogged tables, only %s has", engine, NDB)
	}
	return repeat(ctx, db, engine, unlogged)
}

// logged and unlogged make what a step's file says to what is executed.
func logged(text string) string { return text }

func unlogged(text string) string {
	return strings.ReplaceAll(text, "NDB_TABLE=", "NDB_TABLE=NOLOGGING=1,")
}

// repeat applies the schema until nobody is in the way.
func repeat(ctx context.Context, db *sql.DB, engine string, form func(string) string) (from, to int, err error) {
	// Another program's DDL, or a row lock that another holds while it works, passes: try again until ctx ends.
	for try := 0; ; try++ {
		from, to, err = apply(ctx, db, engine, form)
		if err == nil || ctx.Err() != nil || !passes(err) || try == 20 {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(50*time.Millisecond + rand.N(200*time.Millisecond)):
		}
	}
	if err != nil {
		return from, to, fmt.Errorf("apply schema: %w", explain(err))
	}
	return from, to, nil
}

func apply(ctx context.Context, db *sql.DB, engine string, form func(string) string) (from, to int, err error) {
	ddl, err := forDDL(ctx, db)
	if err != nil {
		return 0, 0, err
	}
	defer ddl.Close() // ends its GET_LOCK too, if the connection breaks
	defer ddl.ExecContext(context.WithoutCancel(ctx), "DO RELEASE_LOCK('lvsession schema')")
	if err := bootstrap(ctx, ddl, engine); err != nil {
		return 0, 0, err
	}
	// Row 0 is the lock: unlike GET_LOCK, a row lock of NDB holds on every SQL node.
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return 0, 0, err
	}
	defer tx.Rollback()
	var locked int
	if err := tx.QueryRowContext(ctx, "SELECT version FROM schema_version WHERE version = 0 FOR UPDATE").Scan(&locked); err != nil {
		return 0, 0, err
	}
	if from, err = installedVersion(ctx, db); err != nil {
		return 0, 0, err
	}
	if from > Version {
		return from, from, newer(from)
	}
	for to = from; to < Version; to++ {
		if err := step(ctx, ddl, engine, to+1, form); err != nil {
			return from, to, err
		}
	}
	return from, to, nil
}

// forDDL returns a connection to run DDL on. Two CREATE TABLE of one name at the same time can wait for each other on NDB:
// one has the cluster's schema lock and wants the table's metadata lock, the other the reverse. So on one SQL node they
// queue up by GET_LOCK, and where programs meet on two SQL nodes the wait for the metadata lock ends soon, to be tried
// again; its default is a year.
func forDDL(ctx context.Context, db *sql.DB) (*sql.Conn, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	var got sql.NullInt64
	if _, err = conn.ExecContext(ctx, "SET SESSION lock_wait_timeout = 3"); err == nil {
		err = conn.QueryRowContext(ctx, "SELECT GET_LOCK('lvsession schema', 60)").Scan(&got)
	}
	if err == nil && got.Int64 != 1 {
		err = errors.New("another program has been applying the schema for a minute")
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// bootstrap makes the table of versions with its row 0, unless it is there. The error says so if it is another engine's.
func bootstrap(ctx context.Context, ddl *sql.Conn, engine string) error {
	text, err := read(engine, 0)
	if err != nil {
		return err
	}
	var installed string
	err = ddl.QueryRowContext(ctx, "SELECT engine FROM schema_version WHERE version = 0").Scan(&installed)
	switch {
	case err == nil && installed != engine:
		return fmt.Errorf("the database has the schema for engine %s, and the one for %s was asked for", installed, engine)
	case err == nil:
		return nil
	case !errors.Is(err, sql.ErrNoRows) && !isNumber(err, errNoSuchTable):
		return err
	}
	for _, statement := range append(statements(text), record(engine, 0)) {
		if _, err := ddl.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// step applies one version. It works beside the transaction that holds the lock, since DDL would end that.
func step(ctx context.Context, ddl *sql.Conn, engine string, version int, form func(string) string) error {
	text, err := read(engine, version)
	if err != nil {
		return err
	}
	for i, statement := range append(statements(form(text)), record(engine, version)) {
		if _, err := ddl.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("version %d, statement %d: %w", version, i+1, err)
		}
	}
	return nil
}

// Check returns an error that tells what to do unless the database has the schema that this program works with.
func Check(ctx context.Context, db *sql.DB) error {
	version, err := installedVersion(ctx, db)
	if err != nil {
		return fmt.Errorf("check schema: %w", explain(err))
	}
	return Fits(version)
}

// ErrMissing says that the database has no schema.
var ErrMissing error = &MismatchError{reason: "the schema is not there; run: sessiond schema apply --dsn …"}

// Fits returns an error that tells what to do unless a version is the one that this program works with.
func Fits(version int) error {
	switch {
	case version < 0:
		return ErrMissing
	case version == 0:
		return &MismatchError{reason: "only a beginning of the schema is there; run: sessiond schema apply --dsn …"}
	case version < Version:
		return &MismatchError{reason: fmt.Sprintf("the schema is version %d, this program needs %d; run: sessiond schema apply --dsn …", version, Version)}
	case version > Version:
		return newer(version)
	}
	return nil
}

// StoreID returns the random name that the store got with its schema: where it differs, the DSNs lead to different
// stores.
func StoreID(ctx context.Context, db *sql.DB) (id [16]byte, err error) {
	var b []byte
	if err := db.QueryRowContext(ctx, "SELECT store FROM schema_version WHERE version = 0").Scan(&b); err != nil {
		return id, fmt.Errorf("read the store's id: %w", explain(err))
	}
	copy(id[:], b)
	return id, nil
}

// Detect returns the engine to use on a server: [NDB] where it takes part in an NDB Cluster, else [InnoDB].
func Detect(ctx context.Context, db *sql.DB) (engine string, err error) {
	var n int
	err = db.QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.engines WHERE LOWER(engine) = 'ndbcluster' AND support IN ('YES', 'DEFAULT')").Scan(&n)
	if err != nil {
		return "", fmt.Errorf("look for engines: %w", explain(err))
	}
	if n > 0 {
		return NDB, nil
	}
	return InnoDB, nil
}

// MismatchError says that the schema in the database is missing or does not fit the program, and what to do.
type MismatchError struct {
	reason string
}

func (e *MismatchError) Error() string { return e.reason }

func newer(version int) error {
	return &MismatchError{reason: fmt.Sprintf("the schema is version %d, newer than this program's %d; run a newer sessiond", version, Version)}
}

// installedVersion returns the latest version in the database.
func installedVersion(ctx context.Context, db *sql.DB) (version int, err error) {
	err = db.QueryRowContext(ctx, "SELECT MAX(version) FROM schema_version").Scan(&version)
	return version, err
}

// explain turns the server's words for a missing schema into ours.
func explain(err error) error {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		switch e.Number {
		case errNoSuchTable:
			return ErrMissing
		case errUnknownDatabase:
			return &MismatchError{reason: e.Message + "; create it: CREATE DATABASE …, then run: sessiond schema apply --dsn …"}
		}
	}
	return err
}

// passes tells whether an error is of another program's work at the same time.
func passes(err error) bool {
	return isNumber(err, errLockWait, errDeadlock, errTableExists, errTemporary, errNoSuchTable)
}

func isNumber(err error, numbers ...uint16) bool {
	var e *mysql.MySQLError
	return errors.As(err, &e) && slices.Contains(numbers, e.Number)
}
