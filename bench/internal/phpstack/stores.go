package phpstack

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/lvsession/lvsession/bench/peers"
	"github.com/lvsession/lvsession/bench/rig/child"
	"github.com/lvsession/lvsession/bench/rig/mysqld"
	"github.com/lvsession/lvsession/bench/rig/ndbcluster"
	"github.com/lvsession/lvsession/bench/rig/redis"
	"github.com/lvsession/lvsession/bench/rig/sessiond"
)

// ini is what a php.ini of bench/peers is told.
type ini = map[string]string

// start starts all stacks, PHP's own first.
func (s *Site) start(ctx context.Context) error {
	for _, start := range []func(context.Context) error{s.files, s.redis, s.memcached, s.mariadb, s.ours} {
		if err := start(ctx); err != nil {
			return err
		}
	}
	if !s.options.NDB {
		return nil
	}
	err := s.ndb(ctx)
	if errors.Is(err, ndbcluster.ErrNoKit) {
		fmt.Fprintln(os.Stderr, err)
		return nil
	}
	return err
}

func (s *Site) folder(name string) (string, error) {
	dir := filepath.Join(s.options.Dir, name)
	return dir, os.MkdirAll(dir, 0o755)
}

func (s *Site) files(context.Context) error {
	dir, err := s.folder("files")
	if err != nil {
		return err
	}
	return s.add("files", "files.ini", ini{"Path": dir}, nil)
}

// phpredis names the php.ini for a server of Redis's protocol.
func phpredis(locking bool) string {
	if locking {
		return "phpredis-locking.ini"
	}
	return "phpredis.ini"
}

func (s *Site) redis(ctx context.Context) error {
	for _, fsync := range []redis.Fsync{redis.EverySec, redis.Always} {
		name := "Redis " + string(fsync)
		if !s.wants(name, name+", locking") {
			continue
		}
		dir, err := s.folder("redis-" + string(fsync))
		if err != nil {
			return err
		}
		server, err := redis.StartDir(ctx, dir, fsync)
		if err != nil {
			return err
		}
		s.stops = append(s.stops, server.Stop)
		for _, locking := range []bool{false, true} {
			one := name
			if locking {
				one += ", locking"
			}
			if err := s.add(one, phpredis(locking), ini{"Addr": server.Addr()}, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Site) memcached(context.Context) error {
	const name = "memcached, locking"
	if !s.wants(name) {
		return nil
	}
	port, err := child.Port()
	if err != nil {
		return err
	}
	flags, err := peers.Flags("memcached.conf", map[string]string{"Port": strconv.Itoa(port)})
	if err != nil {
		return err
	}
	cmd := exec.Command("memcached", flags...)
	if os.Geteuid() == 0 {
		cmd.Args = append(cmd.Args, "-u", "root")
	}
	process, err := child.Start(cmd)
	if err != nil {
		return err
	}
	s.stops = append(s.stops, process.Kill)
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	if err := listening(process, addr); err != nil {
		return fmt.Errorf("memcached: %w", err)
	}
	return s.add(name, "memcached.ini", ini{"Addr": addr}, nil)
}

// listening waits until somebody listens on the address.
func listening(p *child.Process, addr string) error {
	for deadline := time.Now().Add(20 * time.Second); ; {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			return c.Close()
		}
		if !p.Alive() || time.Now().After(deadline) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (s *Site) mariadb(ctx context.Context) error {
	const name = "MariaDB by PDO, locking"
	if !s.wants(name) {
		return nil
	}
	server, err := mysqld.RunMariaDB()
	if err != nil {
		return err
	}
	s.stops = append(s.stops, server.Stop)
	return s.pdo(ctx, name, server.DSN(), "InnoDB")
}

// pdo adds the stack of a handler by PDO, with a table of its own in that database server.
func (s *Site) pdo(ctx context.Context, name, dsn, engine string) error {
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		return err
	}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	table := "CREATE TABLE pdo_sessions (id VARBINARY(128) PRIMARY KEY, data BLOB NOT NULL, expires INT UNSIGNED NOT NULL, KEY (expires)) ENGINE=" + engine
	if _, err := db.ExecContext(ctx, table); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	host, port, err := net.SplitHostPort(cfg.Addr)
	if err != nil {
		return err
	}
	prepend, err := filepath.Abs("bench/internal/phpstack/pdo.php")
	if err != nil {
		return err
	}
	return s.add(name, "pdo.ini", ini{"Prepend": prepend},
		map[string]string{"PDO_DSN": fmt.Sprintf("mysql:host=%s;port=%s;dbname=%s", host, port, cfg.DBName),
			"PDO_USER": cfg.User, "PDO_PASSWORD": cfg.Passwd})
}

// ours starts sessiond on its embedded store twice: as it is, to be held against Redis always, and with --sync everysec, to
// be held against Redis everysec.
func (s *Site) ours(ctx context.Context) error {
	if !s.wants(append(namesOf("sessiond always"), namesOf("sessiond everysec")...)...) {
		return nil
	}
	program, err := sessiond.Build(ctx, s.options.Dir)
	if err != nil {
		return err
	}
	for _, sync := range []string{"always", "everysec"} {
		if err := s.sessiond(ctx, program, "sessiond "+sync, "--sync", sync, "--data", filepath.Join(s.options.Dir, sync)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Site) ndb(ctx context.Context) error {
	const pdo = "NDB by PDO, locking"
	if !s.wants(append(namesOf("sessiond NDB"), pdo)...) {
		return nil
	}
	cluster, err := ndbcluster.StartDir(ctx, filepath.Join(s.options.Dir, "ndb"), ndbcluster.Options{})
	if err != nil {
		return err
	}
	s.stops = append(s.stops, func() { cluster.Stop() })
	if s.wants(pdo) {
		if err := s.pdo(ctx, pdo, cluster.DSNs()[0], "NDBCLUSTER"); err != nil {
			return err
		}
	}
	if !s.wants(namesOf("sessiond NDB")...) {
		return nil
	}
	program, err := sessiond.Build(ctx, s.options.Dir)
	if err != nil {
		return err
	}
	args := []string{"--store", "mysql"}
	for _, dsn := range cluster.DSNs() {
		args = append(args, "--dsn", dsn)
	}
	if err := program.ApplySchema(ctx, cluster.DSNs()[0]); err != nil {
		return err
	}
	return s.sessiond(ctx, program, "sessiond NDB", args...)
}

// namesOf names the stacks of one sessiond.
func namesOf(name string) (names []string) {
	for _, client := range []string{", phpclient", ", phpredis"} {
		names = append(names, name+client, name+client+", locking")
	}
	return names
}

// sessiond adds the stacks of one sessiond: phpclient with and without locks, and phpredis where sessiond speaks Redis.
func (s *Site) sessiond(ctx context.Context, program *sessiond.Program, name string, args ...string) error {
	log := filepath.Join(s.options.Dir, name+".log")
	var redis string
	if program.Knows("--redis") {
		port, err := child.Port()
		if err != nil {
			return err
		}
		redis = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		args = append([]string{"--redis", redis}, args...)
	}
	server, err := program.Start(ctx, log, args...)
	if err != nil {
		return err
	}
	s.stops = append(s.stops, server.Stop)
	prepend, err := filepath.Abs("phpclient/prepend.php")
	if err != nil {
		return err
	}
	me, err := user.Current()
	if err != nil {
		return err
	}
	for _, locking := range []string{"none", "lease"} {
		one := name + ", phpclient"
		if locking != "none" {
			one += ", locking"
		}
		settings := ini{"Prepend": prepend, "Preload": filepath.Join(filepath.Dir(prepend), "preload.php"), "User": me.Username}
		env := map[string]string{"LVSESSION_ENDPOINTS": server.URL(), "LVSESSION_LOCKING": locking}
		if err := s.add(one, "phpclient.ini", settings, env); err != nil {
			return err
		}
	}
	if redis == "" {
		return nil
	}
	for _, locking := range []bool{false, true} {
		one := name + ", phpredis"
		if locking {
			one += ", locking"
		}
		if err := s.add(one, phpredis(locking), ini{"Addr": redis}, nil); err != nil {
			return err
		}
	}
	return nil
}
