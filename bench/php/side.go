package main

import (
	"context"
	"strings"

	"github.com/lvsession/lvsession/bench/internal/phpstack"
)

// targets are what the median latency of our stacks may be of Redis's by phpredis that promises the same about the disk.
var targets = map[string]float64{
	"sessiond always, phpclient":   1.3,
	"sessiond everysec, phpclient": 1.3,
	"sessiond always, phpredis":    1.1,
	"sessiond everysec, phpredis":  1.1,
}

// side is a stack that is measured, with its visitors.
type side struct {
	*phpstack.Stack
	visitors []*visitor
}

func newSide(s *phpstack.Stack) *side {
	one := &side{Stack: s}
	for range clients[len(clients)-1] {
		one.visitors = append(one.visitors, newVisitor())
	}
	return one
}

// yardstick tells whether others are compared to it.
func (s *side) yardstick() bool {
	return strings.HasPrefix(s.Name, "Redis ") && !strings.HasSuffix(s.Name, ", locking")
}

// visit does the next visit of one of the visitors.
func (s *side) visit(ctx context.Context, client int) error {
	return s.visitors[client].visit(ctx, s.URL("/page.php"))
}

// close closes the visitors' connections.
func (s *side) close() {
	for _, v := range s.visitors {
		v.client.CloseIdleConnections()
	}
}
