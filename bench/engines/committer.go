package main

// committer turns concurrent writes into group commits.
type committer struct {
	engine  engine
	waiting chan write
	done    chan struct{}
}

type write struct {
	changes []change
	result  chan error
}

// maxGroup bounds one commit, in writes.
const maxGroup = 1024

func startCommitter(e engine) *committer {
	c := &committer{engine: e, waiting: make(chan write, maxGroup), done: make(chan struct{})}
	go c.run()
	return c
}

// write returns once the changes are on disk. result is the caller's own, with room for one.
func (c *committer) write(changes []change, result chan error) error {
	c.waiting <- write{changes, result}
	return <-result
}

func (c *committer) stop() {
	close(c.waiting)
	<-c.done
}

func (c *committer) run() {
	defer close(c.done)
	var group []write
	var changes []change
	for w := range c.waiting {
		group = append(group[:0], w)
		for len(group) < maxGroup && len(c.waiting) > 0 {
			group = append(group, <-c.waiting)
		}
		changes = changes[:0]
		for _, g := range group {
			changes = append(changes, g.changes...)
		}
		err := c.engine.commit(changes)
		for _, g := range group {
			g.result <- err
		}
	}
}
