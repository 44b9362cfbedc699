package main

import (
	"context"
	"fmt"
	"math/rand/v2"

	"golang.org/x/sync/errgroup"

	"github.com/lvsession/lvsession/bench/internal/figures"
	"github.com/lvsession/lvsession/bench/internal/wire"
)

// mix is a kind of load. Writes are the last writer's, as Redis's are.
type mix struct {
	name  string
	what  string
	visit func(c wire.Client, id string, payload []byte) error
}

var mixes = []mix{
	{"mixed", "a read or a write", mixed},
	{"cycle", "read, then write", cycle},
	{"php", "read, then touch, one in ten writes", php},
}

func find(name string) (mix, bool) {
	for _, m := range mixes {
		if m.name == name {
			return m, true
		}
	}
	return mix{}, false
}

func mixed(c wire.Client, id string, payload []byte) error {
	if rand.IntN(2) == 0 {
		return c.Read(id)
	}
	return c.Write(id, payload)
}

func cycle(c wire.Client, id string, payload []byte) error {
	if err := c.Read(id); err != nil {
		return err
	}
	return c.Write(id, payload)
}

func php(c wire.Client, id string, payload []byte) error {
	if err := c.Read(id); err != nil {
		return err
	}
	if rand.IntN(10) == 0 {
		return c.Write(id, payload)
	}
	return c.Touch(id)
}

// visits returns the visit of each client: a session at random.
func (o options) visits(s *side, m mix, clients int) func(context.Context, int) error {
	payloads := make([][]byte, clients)
	for i := range payloads {
		payloads[i] = figures.Payload(o.payload)
	}
	return func(_ context.Context, client int) error {
		figures.Renew(payloads[client])
		return m.visit(s.clients[client], sessionID(rand.IntN(o.sessions)), payloads[client])
	}
}

func sessionID(n int) string { return fmt.Sprintf("session%025d", n) }

// fill stores all sessions of a side.
func (o options) fill(ctx context.Context, s *side) error {
	var group errgroup.Group
	for client, c := range s.clients {
		group.Go(func() error {
			payload := figures.Payload(o.payload)
			for n := client; n < o.sessions && ctx.Err() == nil; n += len(s.clients) {
				figures.Renew(payload)
				if err := c.Write(sessionID(n), payload); err != nil {
					return fmt.Errorf("store session %d: %w", n, err)
				}
			}
			return ctx.Err()
		})
	}
	return group.Wait()
}
