package ndbcluster

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/lvsession/lvsession/bench/rig/child"
)

// command returns the command of a node's process.
func (c *Cluster) command(node string, extra []string) (*exec.Cmd, error) {
	number, _ := strconv.Atoi(strings.TrimLeft(node, "abcdefghijklmnopqrstuvwxyz"))
	switch {
	case node == "mgmd":
		return c.kit.Command("ndb_mgmd", append([]string{"--nodaemon", "--config-file=" + c.path("config.ini"),
			"--configdir=" + c.path("mgmd")}, extra...)...), nil
	case strings.HasPrefix(node, "data") && number >= 1 && number <= c.options.Data:
		// --foreground runs the node without an angel process beside it, which would escape our hold on the child.
		return c.kit.Command("ndbmtd", append([]string{"--foreground", "--ndb-nodeid=" + strconv.Itoa(number),
			"--ndb-connectstring=" + c.connect}, extra...)...), nil
	case strings.HasPrefix(node, "sql") && number >= 1 && number <= c.options.SQL:
		args := append(c.mysqld(node), "--socket="+c.socket(node), "--port="+strconv.Itoa(c.sqlPorts[number-1]),
			"--bind-address=127.0.0.1", "--server-id="+strconv.Itoa(number), "--disable-log-bin",
			"--ndbcluster", "--ndb-connectstring="+c.connect, "--ndb-nodeid="+strconv.Itoa(firstSQL+number),
			"--ndb-wait-setup=60", "--ndb-wait-connected=60", "--innodb-buffer-pool-size=32M", "--performance-schema=OFF",
			"--max-connections=600", "--skip-name-resolve", "--max-allowed-packet=64M", "--loose-mysqlx=OFF")
		return c.kit.Command("mysqld", append(args, extra...)...), nil
	}
	return nil, fmt.Errorf("ndbcluster: there is no node %q", node)
}

// mysqld returns the arguments that each run of an SQL node's mysqld has in common.
func (c *Cluster) mysqld(node string) []string {
	args := []string{"--no-defaults", "--datadir=" + filepath.Join(c.path(node), "data")}
	if os.Getuid() == 0 {
		args = append(args, "--user=root") // mysqld refuses to run as root unless told so
	}
	return args
}

// initialize makes an SQL node's data directory, unless it is there.
func (c *Cluster) initialize(ctx context.Context, node string) error {
	if _, err := os.Stat(filepath.Join(c.path(node), "data", "mysql.ibd")); err == nil {
		return nil
	}
	cmd := c.kit.Command("mysqld", append(c.mysqld(node), "--initialize-insecure", "--loose-mysqlx=OFF")...)
	log, err := os.OpenFile(c.log(node), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	p, err := child.Start(cmd)
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		p.Kill()
	}
	if err := p.Err(); err != nil {
		return fmt.Errorf("ndbcluster: initialize %s: %w\n%s", node, err, child.Tail(c.log(node), 20))
	}
	return nil
}

// socket returns the path of an SQL node's Unix socket; such a path has at most 107 bytes.
func (c *Cluster) socket(node string) string {
	if path := filepath.Join(c.path(node), "s"); len(path) < 100 {
		return path
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("lvsession-%d-%s-%s.sock", os.Getpid(), strings.TrimPrefix(c.connect, "127.0.0.1:"), node))
}

// dials tells whether something listens.
func dials(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", address)
		if err == nil {
			conn.Close()
		}
		return err
	}
}

// sqlNodeReady tells whether an SQL node takes part in the cluster, and creates account and database.
func (c *Cluster) sqlNodeReady(node string) func(context.Context) error {
	return func(ctx context.Context) error {
		db, err := open("root@unix(" + c.socket(node) + ")/")
		if err != nil {
			return err
		}
		defer db.Close()
		var support string
		if err := db.QueryRowContext(ctx, "SELECT support FROM information_schema.engines WHERE engine = 'ndbcluster'").Scan(&support); err != nil {
			return err
		}
		if support != "YES" {
			return fmt.Errorf("engine ndbcluster: support is %s", support)
		}
		for _, statement := range []string{
			"CREATE DATABASE IF NOT EXISTS " + account,
			"CREATE USER IF NOT EXISTS " + account + "@'127.0.0.1' IDENTIFIED BY '" + account + "'",
			"GRANT ALL ON *.* TO " + account + "@'127.0.0.1'",
		} {
			if _, err := db.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	}
}

// dataNodeStarted tells whether a data node has finished its start, as any SQL node sees it.
func (c *Cluster) dataNodeStarted(node string) func(context.Context) error {
	return func(ctx context.Context) error {
		last := fmt.Errorf("no SQL node runs")
		for i := 1; i <= c.options.SQL; i++ {
			if p := c.process("sql" + strconv.Itoa(i)); p == nil || !p.Alive() {
				continue
			}
			db, err := open("root@unix(" + c.socket("sql"+strconv.Itoa(i)) + ")/ndbinfo")
			if err != nil {
				return err
			}
			var status string
			last = db.QueryRowContext(ctx, "SELECT status FROM nodes WHERE node_id = ?", strings.TrimPrefix(node, "data")).Scan(&status)
			db.Close()
			if last == nil && status == "STARTED" {
				return nil
			}
			if last == nil {
				last = fmt.Errorf("its status is %s", status)
			}
		}
		return last
	}
}

// open opens a pool that keeps quiet about connections that fail: nodes come and go here.
func open(dsn string) (*sql.DB, error) {
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, err
	}
	cfg.Logger = &mysql.NopLogger{}
	cfg.InterpolateParams = true
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}
