package check

import (
	"context"
	"crypto/tls"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
)

// The negotiate checks of mysql and pgsql log in, run the query that request holds after its slash, and succeed with the
// first row. TLS is used where the server offers it.

var (
	errNoRow   = errors.New("the query returned no row")
	errNoQuery = errors.New("login and request are needed: expected a user and an SQL query")
)

// query returns the query of a Spec. ldirectord too holds a server to be down without one, or without a login.
func (s Spec) query() (string, error) {
	q := strings.TrimPrefix(s.Request, "/")
	if s.Login == "" || q == "" {
		return "", errNoQuery
	}
	return q, nil
}

// refuse is a probe that always fails, for a Spec that can never succeed.
func refuse(err error) probe {
	return func(context.Context) (string, error) { return "", err }
}

func (s Spec) dialSQL(ctx context.Context, _, _ string) (net.Conn, error) { return s.dial(ctx) }

func newMySQL(s Spec) (probe, error) {
	query, err := s.query()
	if err != nil {
		return refuse(err), nil
	}
	c := mysql.NewConfig()
	c.Net, c.Addr, c.DialFunc = "tcp", s.Target.String(), s.dialSQL
	c.User, c.Passwd, c.DBName = s.Login, s.Passwd, s.Database
	c.TLSConfig = "preferred"
	c.MaxAllowedPacket = MaxAnswer
	c.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (string, error) {
		conn, err := connector.Connect(ctx)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		rows, err := conn.(driver.QueryerContext).QueryContext(ctx, query, nil)
		if err != nil {
			return "", err
		}
		defer rows.Close()
		switch err := rows.Next(make([]driver.Value, len(rows.Columns()))); {
		case errors.Is(err, io.EOF):
			return "", errNoRow
		case err != nil:
			return "", err
		}
		return "the query returned a row", nil
	}, nil
}

func newPgSQL(s Spec) (probe, error) {
	query, err := s.query()
	if err != nil {
		return refuse(err), nil
	}
	c, err := pgconn.ParseConfig("host=localhost sslmode=disable") // the only way to make one
	if err != nil {
		return nil, err
	}
	// Everything of the environment's (PGUSER, PGPASSFILE and others) is overwritten.
	c.Host, c.Port, c.DialFunc = s.Target.Addr().String(), s.Target.Port(), s.dialSQL
	c.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	c.User, c.Password, c.Database = s.Login, s.Passwd, s.Database
	c.RuntimeParams = map[string]string{"application_name": "lvsproxy"}
	c.TLSConfig = &tls.Config{InsecureSkipVerify: true}
	c.Fallbacks = []*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port}}
	return func(ctx context.Context) (string, error) {
		conn, err := pgconn.ConnectConfig(ctx, c)
		if err != nil {
			return "", pgReason(err)
		}
		defer conn.Close(ctx)
		answer := conn.Exec(ctx, query)
		for answer.NextResult() {
			if answer.ResultReader().NextRow() {
				return "the query returned a row", nil
			}
		}
		if err := answer.Close(); err != nil {
			return "", pgReason(err)
		}
		return "", errNoRow
	}, nil
}

// pgReason takes the server's own words out of an error, if there are any: the rest names the user and the database over
// and over.
func pgReason(err error) error {
	var server *pgconn.PgError
	if errors.As(err, &server) {
		return fmt.Errorf("%s (%s)", server.Message, server.Code)
	}
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}
