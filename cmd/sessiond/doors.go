package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/lvsession/lvsession/cmd/internal/settings"
	"github.com/lvsession/lvsession/sessionstore/access"
)

// doors are where sessiond is served, and what is asked of whoever comes in.
type doors struct {
	http, httpTLS, unix        string
	redis, redisTLS, redisUnix string
	redisNamespace             string
	redisPrefix                string
	redisLockWait              time.Duration
	files                      access.Files
	secret                     settings.Strings
	secretsFile                string
	createRate                 float64

	secrets access.Secrets // of secret and secretsFile
}

func (d *doors) flags(flags *flag.FlagSet) {
	flags.StringVar(&d.http, "http", "127.0.0.1:8090", "serve HTTP on `ADDR`; empty: not over TCP")
	flags.StringVar(&d.unix, "unix", "", "serve HTTP on the Unix socket `PATH` too; its folder decides who may connect")
	flags.StringVar(&d.httpTLS, "http-tls", "", "serve HTTPS on `ADDR` too, with the certificate of --tls-cert")
	flags.StringVar(&d.redis, "redis", "", "serve the Redis protocol on `ADDR`, 127.0.0.1:6380 for instance")
	flags.StringVar(&d.redisUnix, "redis-unix", "", "serve the Redis protocol on the Unix socket `PATH`; its folder decides who may connect")
	flags.StringVar(&d.redisTLS, "redis-tls", "", "serve the Redis protocol over TLS on `ADDR`, with the certificate of --tls-cert")
	flags.StringVar(&d.redisNamespace, "redis-namespace", "default", "`NAMESPACE` of Redis clients that name none by AUTH")
	flags.StringVar(&d.redisPrefix, "redis-prefix", "PHPREDIS_SESSION:", "`PREFIXES`, separated by commas, that Redis clients put before session ids: such a key is the same session as by HTTP")
	flags.DurationVar(&d.redisLockWait, "redis-lock-wait", 2*time.Second, "hold a Redis client's SET … NX of a lock back for at most this long while somebody else has the lock; must be less than clients wait for an answer")
	flags.StringVar(&d.files.Cert, "tls-cert", "", "certificate chain `FILE` in PEM; may be replaced while sessiond runs")
	flags.StringVar(&d.files.Key, "tls-key", "", "private key `FILE` of --tls-cert, in PEM")
	flags.StringVar(&d.files.ClientCA, "tls-client-ca", "", "over TLS, serve only clients with a certificate of an authority in `FILE`")
	d.secret.Redact = redactSecret
	flags.Var(&d.secret, "secret", "only clients that show it may use a namespace, `NAMESPACE=SECRET`; may be repeated. Better in the environment or in --secrets-file: other users of the machine see command lines")
	flags.StringVar(&d.secretsFile, "secrets-file", "", "`FILE` with lines NAMESPACE = SECRET")
	flags.Float64Var(&d.createRate, "create-rate", 0, "one client address may create so many sessions a second on the long run, and ten seconds' worth at once; 0: any number")
}

// redactSecret returns a namespace with its secret hidden.
func redactSecret(pair string) string {
	namespace, _, ok := strings.Cut(pair, "=")
	if !ok {
		return "***"
	}
	return namespace + "=***"
}

func (d *doors) check() error {
	if d.http == "" && d.unix == "" && d.httpTLS == "" && !d.servesRedis() {
		return errors.New("nothing to serve on: give --http, --unix or --redis")
	}
	if (d.httpTLS != "" || d.redisTLS != "") && (d.files.Cert == "" || d.files.Key == "") {
		return errors.New("--http-tls and --redis-tls need --tls-cert and --tls-key")
	}
	if d.redisLockWait < 0 || d.redisLockWait > time.Hour {
		return fmt.Errorf("--redis-lock-wait %v is not within 0s and 1h", d.redisLockWait)
	}
	if d.createRate < 0 {
		return fmt.Errorf("--create-rate %v is negative", d.createRate)
	}
	return d.readSecrets()
}

func (d *doors) readSecrets() error {
	for _, pair := range d.secret.Values {
		if err := d.secrets.AddPair(pair); err != nil {
			return fmt.Errorf("--secret: %w", err)
		}
	}
	if d.secretsFile == "" {
		return nil
	}
	file, err := os.Open(d.secretsFile)
	if err != nil {
		return fmt.Errorf("--secrets-file: %w", err)
	}
	defer file.Close()
	if err := d.secrets.Read(file); err != nil {
		return fmt.Errorf("--secrets-file %s: %w", d.secretsFile, err)
	}
	if d.secrets.Open() {
		return fmt.Errorf("--secrets-file %s: no secret in it", d.secretsFile)
	}
	return nil
}

func (d *doors) servesRedis() bool { return d.redis != "" || d.redisUnix != "" || d.redisTLS != "" }

// lockWait is the option as package resp wants it: 0 there is the default, and negative is none.
func (d *doors) lockWait() time.Duration {
	if d.redisLockWait == 0 {
		return -1
	}
	return d.redisLockWait
}

// beyondLoopback tells whether one of the doors can be reached from elsewhere.
func (d *doors) beyondLoopback(open []door) bool {
	for _, l := range open {
		if a, ok := l.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() {
			return true
		}
	}
	return false
}

// prefixes returns what may stand before a session id.
func (d *doors) prefixes() []string {
	list := []string{}
	for p := range strings.SplitSeq(d.redisPrefix, ",") {
		if p = strings.TrimSpace(p); p != "" {
			list = append(list, p)
		}
	}
	return list
}

// door is one that is open.
type door struct {
	net.Listener
	protocol string // HTTP or Redis
}

// listen opens what is to be served on, so that a mistake there shows before anything else begins.
func (d *doors) listen(log *slog.Logger) (list []door, err error) {
	var encrypted *tls.Config
	if d.httpTLS != "" || d.redisTLS != "" {
		if encrypted, err = d.files.TLS(log); err != nil {
			return nil, err
		}
	}
	for _, one := range []struct {
		option, at, protocol string
		unix, tls            bool
	}{
		{"--http", d.http, "HTTP", false, false}, {"--unix", d.unix, "HTTP", true, false}, {"--http-tls", d.httpTLS, "HTTP", false, true},
		{"--redis", d.redis, "Redis", false, false}, {"--redis-unix", d.redisUnix, "Redis", true, false}, {"--redis-tls", d.redisTLS, "Redis", false, true},
	} {
		if one.at == "" {
			continue
		}
		var l net.Listener
		if one.unix {
			l, err = listenUnix(one.at)
		} else {
			l, err = net.Listen("tcp", one.at)
		}
		if err != nil {
			closeAll(list)
			return nil, fmt.Errorf("%s %s: %w", one.option, one.at, err)
		}
		if one.tls {
			l = tls.NewListener(l, encrypted)
		}
		list = append(list, door{l, one.protocol})
	}
	return list, nil
}

// listenUnix listens on a socket that everyone may connect to who may enter its folder. A socket that a killed sessiond
// left behind is replaced, one that is in use is not.
func listenUnix(path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSocket != 0 {
		if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
			conn.Close()
			return nil, errors.New("another process is serving there")
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o666); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func closeAll(list []door) {
	for _, l := range list {
		l.Close()
	}
}
