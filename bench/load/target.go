package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

// Target is a kind of target.
type Target string

// The kinds of target.
const (
	Counter  Target = "counter"  // the counter page, over HTTP: http://HOST[:80]/PATH, or https
	Plain    Target = "plain"    // any page, over HTTP, of which only the status is looked at: the same with Config.Plain
	Sessiond Target = "sessiond" // sessiond's HTTP API: sessiond://HOST:PORT[/NAMESPACE], or sessionds over TLS
	Redis    Target = "redis"    // a server of Redis's protocol: redis://HOST[:6379], or rediss over TLS
	TCP      Target = "tcp"      // one line there and one back over TCP, for a director alone: tcp://HOST:PORT
)

// Verified tells whether a target has sessions whose answers can be checked.
func (t Target) Verified() bool { return t != Plain && t != TCP }

// schemes are the kinds of target by the scheme of their URL, with the port that it stands for; 0 for none.
var schemes = map[string]struct {
	kind Target
	port uint16
	tls  bool
}{
	"http": {Counter, 80, false}, "sessiond": {Sessiond, 0, false}, "redis": {Redis, 6379, false}, "tcp": {TCP, 0, false},
	"https": {Counter, 443, true}, "sessionds": {Sessiond, 0, true}, "rediss": {Redis, 6379, true},
}

// Target is the kind of the target, as the URL says it.
func (c Config) Target() Target {
	if c.Plain {
		return Plain
	}
	scheme, _, _ := strings.Cut(c.URL, ":")
	return schemes[scheme].kind
}

func (c Config) checkURL() error {
	u, err := url.Parse(c.URL)
	if err != nil {
		return err
	}
	s, known := schemes[u.Scheme]
	switch {
	case !known:
		return fmt.Errorf("URL must begin with http://, sessiond://, redis:// or tcp://, or https://, sessionds:// or rediss:// for TLS, not %q", c.URL)
	case u.Hostname() == "":
		return fmt.Errorf("URL %q has no host", c.URL)
	case u.User != nil:
		return errors.New("URL must not have a user and password: results show it. Give a session server's by secret-file")
	case u.Port() == "" && s.port == 0:
		return fmt.Errorf("URL %q has no port", c.URL)
	case c.Plain && s.kind != Counter:
		return errors.New("only a page over http or https can be plain")
	case c.CAFile != "" && !s.tls:
		return errors.New("ca-file is only for a target over TLS")
	case s.kind == Counter && !c.Plain && u.Query().Has("user"):
		return errors.New("URL must not have the query parameter user: each virtual user has its own")
	case s.kind == Sessiond:
		return sessionstore.CheckNamespace(namespaceOf(u))
	case s.kind != Counter && strings.Trim(u.Path, "/") != "":
		return fmt.Errorf("URL of a %s target has no path, not %q", s.kind, u.Path)
	}
	return nil
}

// defaultNamespace is that of a sessiond URL without one.
const defaultNamespace = "default"

func namespaceOf(u *url.URL) string { return cmp.Or(strings.Trim(u.Path, "/"), defaultNamespace) }

// resolve finds the target's address.
func resolve(ctx context.Context, cfg Config) (*target, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	port := uint64(schemes[u.Scheme].port)
	if s := u.Port(); s != "" {
		if port, err = strconv.ParseUint(s, 10, 16); err != nil || port == 0 {
			return nil, fmt.Errorf("%w: port %q of the URL is not 1 to 65535", ErrConfig, s)
		}
	}
	secure, err := cfg.secure(u.Hostname(), schemes[u.Scheme].tls)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return nil, fmt.Errorf("%w: resolve %s: %w", ErrUnreachable, u.Hostname(), err)
	}
	return &target{
		kind: cfg.Target(), protocol: newProtocol(cfg, u, secure.secret), tls: secure.tls, addr: netip.AddrPortFrom(ips[0].Unmap(), uint16(port)), origin: u,
		timeout: cfg.Timeout, keepAlive: cfg.KeepAlive, connected: func() {},
	}, nil
}

func newProtocol(cfg Config, u *url.URL, secret string) protocol {
	switch cfg.Target() {
	case Plain:
		return newPlainPage(u, cfg.KeepAlive)
	case Sessiond:
		return direct{server: u.Host, keepAlive: cfg.KeepAlive, store: newSessiondAPI(u, secret)}
	case Redis:
		return direct{server: u.Host, keepAlive: cfg.KeepAlive, store: redisStore{locks: cfg.Parallel.most() > 1, login: strings.Fields(secret)}}
	case TCP:
		return lineEcho{}
	}
	return newCounterPage(u, cfg.KeepAlive)
}

// probe makes sure, with a user of its own, that the target is what it should be. It tries three times, since one real
// server may be down.
func probe(ctx context.Context, cfg Config, t *target) error {
	const tries = 3
	var e exchange
	for try := range tries {
		if try > 0 && !sleep(ctx, cfg.RetryWait) {
			break
		}
		u := newUser(-1, cfg.UserPrefix+"probe", cfg.Seed)
		e = newPlace().do(ctx, t, u, u.visit(&cfg), time.Now())
		u.close()
		if e.class == "" && t.kind.Verified() && !u.hasSession(t) {
			e.fail(BadBody, "the answer set no cookie that a browser would send back over http")
		}
		if e.class == "" || ctx.Err() != nil {
			break
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("probe %s: %w", cfg.URL, err)
	}
	if e.class != "" {
		return fmt.Errorf("%w at %s (%s): %s: %s", ErrUnreachable, cfg.URL, t.addr, e.class, e.detail)
	}
	return nil
}
