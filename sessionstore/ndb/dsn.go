package ndb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Time-outs of a connection, unless the DSN sets its own.
const (
	dialTimeout  = 2 * time.Second
	readTimeout  = 5 * time.Second
	writeTimeout = 5 * time.Second
	ddlTimeout   = 2 * time.Minute // DDL on NDB waits for every SQL node
)

// OpenDB opens a pool on one SQL node for package schema, with the settings that this needs whatever the DSN says about
// them. It connects to nothing yet. An error never repeats the DSN, which holds a password.
func OpenDB(dsn string) (*sql.DB, error) {
	cfg, err := parseDSN(dsn)
	if err != nil {
		return nil, err
	}
	cfg.ReadTimeout = max(cfg.ReadTimeout, ddlTimeout)
	return openConfig(cfg, connectionSettings)
}

// openConfig opens a pool of which each connection begins with the given statements.
func openConfig(cfg *mysql.Config, settings []string) (*sql.DB, error) {
	c, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, errors.New("the DSN's options do not fit together")
	}
	return sql.OpenDB(connector{c, settings}), nil
}

func parseDSN(dsn string) (*mysql.Config, error) {
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		// The parser's errors quote parts of the DSN. If the password holds a slash, a part of it can be among them.
		return nil, errors.New("the DSN is not of the form user:password@tcp(host:port)/database?option=value, or an option's value is malformed")
	}
	if cfg.DBName == "" {
		return nil, fmt.Errorf("the DSN for %s names no database: user:password@tcp(host:port)/database", cfg.Addr)
	}
	cfg.InterpolateParams = true // one round trip a statement instead of three
	cfg.ClientFoundRows = true   // an UPDATE that changes nothing must count the row that it found
	cfg.MultiStatements = false
	cfg.AllowAllFiles = false
	cfg.CheckConnLiveness = true
	cfg.Logger = &mysql.NopLogger{} // the store logs nodes that fail, once
	for _, t := range []struct {
		field *time.Duration
		value time.Duration
	}{{&cfg.Timeout, dialTimeout}, {&cfg.ReadTimeout, readTimeout}, {&cfg.WriteTimeout, writeTimeout}} {
		if *t.field <= 0 {
			*t.field = t.value
		}
	}
	if cfg.Params == nil {
		cfg.Params = map[string]string{}
	}
	cfg.Params["autocommit"] = "1"
	cfg.Params["sql_mode"] = "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'" // a value that does not fit is an error
	if cfg.Params["innodb_lock_wait_timeout"] == "" {
		cfg.Params["innodb_lock_wait_timeout"] = "2" // seconds; less than the read time-out
	}
	return cfg, nil
}

// connectionSettings sets the isolation level, by a statement because the variable's name differs between MySQL
// (transaction_isolation) and MariaDB before 11.1 (tx_isolation). NDB knows no other level.
var connectionSettings = []string{"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"}

// batchSettings also let an SQL node send 128 rows to the data nodes at once. It reckons with rows of full length, nearly
// 30 KB whatever they hold: with its defaults, 32 KB and 256 KB, a statement on 32 rows writes them in 16 round trips and
// reads them in 4 (counted by Ndb_api_wait_exec_complete_count_session on 9.7). Statements on one row become slower by
// it, by 0.25 ms for an UPDATE, so batches have connections of their own.
var batchSettings = append(connectionSettings[:1:1], optional+"SET SESSION ndb_batch_size = 4194304, SESSION read_rnd_buffer_size = 4194304")

// optional marks a setting that a server may refuse: it knows no NDB, or the account lacks the privilege.
const optional = "/* optional */ "

// connector makes settings on each new connection, and lets it keep statements prepared.
type connector struct {
	driver.Connector
	settings []string
}

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	fresh, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	conn, ok := fresh.(mysqlConn)
	if !ok {
		return nil, errors.Join(errBug, fresh.Close())
	}
	for _, statement := range c.settings {
		_, err := conn.ExecContext(ctx, statement, nil)
		if server := (*mysql.MySQLError)(nil); errors.As(err, &server) && strings.HasPrefix(statement, optional) {
			continue
		}
		if err != nil {
			conn.Close()
			return nil, err
		}
	}
	return &keeper{conn, map[string]mysqlStmt{}}, nil
}
