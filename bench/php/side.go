package main

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

// side is one way to keep sessions, with an nginx and a php-fpm of its own.
type side struct {
	name      string
	yardstick bool    // others are compared to it
	target    float64 // what its median may be of a yardstick's; 0: no target
	server    *phpfpm.Server
	visitors  []*visitor
}

// visit does the next visit of one of the visitors.
func (s *side) visit(ctx context.Context, client int) error {
	return s.visitors[client].visit(ctx, s.server.URL("/page.php"))
}

// site is all sides, and the servers behind them.
type site struct {
	dir   string
	only  *regexp.Regexp
	sides []*side
	stops []func()
}

func (s *site) stop() {
	for i := range s.stops {
		s.stops[len(s.stops)-1-i]()
	}
}

// wants tells whether any of the sides is to be measured, so that what stands behind them is needed.
func (s *site) wants(names ...string) bool {
	for _, name := range names {
		if s.only.MatchString(name) {
			return true
		}
	}
	return false
}

// add starts the web server of a side, with a php.ini of bench/peers and what that is told.
func (s *site) add(one side, file string, settings ini, env map[string]string) error {
	if !s.wants(one.name) {
		return nil
	}
	pages, err := filepath.Abs("bench/php/pages")
	if err != nil {
		return err
	}
	dir := filepath.Join(s.dir, fmt.Sprintf("fpm%d", len(s.sides)))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
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
	// A worker for each client: what is compared is the store, not the queue in front of PHP.
	one.server, err = phpfpm.StartDir(dir, phpfpm.Options{Root: pages, Index: "page.php", INI: ini, Env: env, Children: clients[len(clients)-1]})
	if err != nil {
		return fmt.Errorf("%s: %w", one.name, err)
	}
	s.stops = append(s.stops, one.server.Close)
	for range clients[len(clients)-1] {
		v := newVisitor()
		one.visitors = append(one.visitors, v)
		s.stops = append(s.stops, v.client.CloseIdleConnections)
	}
	s.sides = append(s.sides, &one)
	return nil
}
