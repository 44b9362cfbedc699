package ndb

import (
	"context"
	"database/sql/driver"
	"errors"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// prepared marks a statement that a connection prepares when it first sees it, and keeps. The server then parses it once,
// and gets payloads as they are, where it would otherwise scan them as literals: an UPDATE of 64 rows of 2 KB takes it
// half the time. Only statements of which there are few wordings should be marked.
const prepared = "/* prepared */ "

// maxPrepared is how many statements a connection keeps. What comes after them is interpolated.
const maxPrepared = 250

// errTooManyPrepared is the server's number for "max_prepared_stmt_count statements are prepared already".
const errTooManyPrepared = 1461

// mysqlConn is what package database/sql uses of go-sql-driver's connections.
type mysqlConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.NamedValueChecker
	driver.Pinger
	driver.QueryerContext
	driver.SessionResetter
	driver.Validator
}

// mysqlStmt is what we use of its statements.
type mysqlStmt interface {
	driver.StmtExecContext
	driver.StmtQueryContext
}

// keeper is a connection that keeps statements prepared.
type keeper struct {
	mysqlConn
	kept map[string]mysqlStmt // nil if the server refused to prepare it
}

// ExecContext implements [driver.ExecerContext].
func (k *keeper) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	text, stmt, err := k.statement(ctx, query)
	switch {
	case err != nil:
		return nil, err
	case stmt == nil:
		return k.mysqlConn.ExecContext(ctx, text, args)
	default:
		return stmt.ExecContext(ctx, args)
	}
}

// QueryContext implements [driver.QueryerContext].
func (k *keeper) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	text, stmt, err := k.statement(ctx, query)
	switch {
	case err != nil:
		return nil, err
	case stmt == nil:
		return k.mysqlConn.QueryContext(ctx, text, args)
	default:
		return stmt.QueryContext(ctx, args)
	}
}

// statement returns the prepared statement of a query, or nil if it is to be interpolated, and its text without the mark.
func (k *keeper) statement(ctx context.Context, query string) (string, mysqlStmt, error) {
	text, marked := strings.CutPrefix(query, prepared)
	if !marked {
		return text, nil, nil
	}
	if stmt, known := k.kept[text]; known || len(k.kept) >= maxPrepared {
		return text, stmt, nil
	}
	s, err := k.PrepareContext(ctx, text)
	if server := (*mysql.MySQLError)(nil); errors.As(err, &server) {
		if server.Number == errTooManyPrepared {
			k.kept[text] = nil
		}
		return text, nil, nil // if something is wrong with the statement, the server will say so again
	}
	if err != nil {
		return text, nil, err
	}
	stmt, ok := s.(mysqlStmt)
	if !ok {
		return text, nil, errors.Join(errBug, s.Close())
	}
	k.kept[text] = stmt
	return text, stmt, nil
}
