// Package phpstack starts what PHP pages can keep their sessions in, for measurements: PHP's files, Redis by phpredis, memcached by
// php-memcached, MariaDB and NDB Cluster by PDO, and sessiond by phpclient and by phpredis. Each way has an nginx and a php-fpm of its own in front,
// with the configuration of bench/peers, and all are up at the same time so that they can take turns.
package phpstack

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"

	"github.com/lvsession/lvsession/bench/peers"
	"github.com/lvsession/lvsession/bench/rig/phpfpm"
)

// Options are what to start, and with which pages.
type Options struct {
	// Dir is an empty folder for all that the servers write. It must outlive the site.
	Dir string
	// Only has those stacks be started whose names it matches, with the stores that these need.
	Only *regexp.Regexp
	// NDB adds a MySQL NDB Cluster, where this machine has one, with sessiond and with PDO on it. It takes 2 GB of memory.
	NDB bool
	// Pages is the folder of the pages. A request for / gets Index.
	Pages, Index string
	// Workers is how many requests each php-fpm works on at a time.
	Workers int
	// Hosts are where each stack has a web server; none means one on a free port of 127.0.0.1. Stack tells the first one's address.
	Hosts []Host
}

// Host is where a web server is.
type Host struct {
	Name   string                   // that pages answer with; empty for the machine's
	Addr   string                   // address and port
	Within func(func() error) error // the network namespace that Addr is of, see phpfpm.Options
}

// Stack is one way to keep sessions, with an nginx and a php-fpm of its own.
type Stack struct {
	Name   string
	Origin string // such as http://127.0.0.1:41234
}

// URL returns the address of a page, whose path begins with a slash.
func (s *Stack) URL(path string) string { return s.Origin + path }

// Site is all stacks, and the stores behind them.
type Site struct {
	Stacks  []*Stack
	options Options
	stops   []func()
}

// Start starts the stacks; the caller stops them. The working directory must be the checkout's top, because pages and programs of
// the checkout are used.
func Start(ctx context.Context, o Options) (*Site, error) {
	s := &Site{options: o}
	if err := s.start(ctx); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// Stop stops everything, the latest first, and returns when it is gone.
func (s *Site) Stop() {
	for i := range s.stops {
		s.stops[len(s.stops)-1-i]()
	}
	s.stops = nil
}

// wants tells whether any of the stacks is to be measured, so that what stands behind them is needed.
func (s *Site) wants(names ...string) bool {
	for _, name := range names {
		if s.options.Only.MatchString(name) {
			return true
		}
	}
	return false
}

// add starts the web server of a stack, with a php.ini of bench/peers and what that is told.
func (s *Site) add(name, file string, settings ini, env map[string]string) error {
	if !s.wants(name) {
		return nil
	}
	ini, err := peers.INI("common.ini", nil)
	if err != nil {
		return err
	}
	own, err := peers.INI(file, settings)
	if err != nil {
		return err
	}
	maps.Copy(ini, own)
	hosts := s.options.Hosts
	if len(hosts) == 0 {
		hosts = []Host{{}}
	}
	var first *phpfpm.Server
	for i, host := range hosts {
		server, err := s.serve(host, fmt.Sprintf("fpm%d-%d", len(s.Stacks), i), ini, env)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if first == nil {
			first = server
		}
	}
	s.Stacks = append(s.Stacks, &Stack{name, first.URL("")})
	return nil
}

// serve starts one web server, with its files in a folder of that name.
func (s *Site) serve(host Host, folder string, ini, env map[string]string) (*phpfpm.Server, error) {
	dir := filepath.Join(s.options.Dir, folder)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	env = maps.Clone(env)
	if host.Name != "" {
		if env == nil {
			env = map[string]string{}
		}
		env["SERVER"] = host.Name
	}
	server, err := phpfpm.StartDir(dir, phpfpm.Options{
		Root: s.options.Pages, Index: s.options.Index, INI: ini, Env: env, Children: s.options.Workers, Addr: host.Addr, Within: host.Within,
	})
	if err == nil {
		s.stops = append(s.stops, server.Close)
	}
	return server, err
}
