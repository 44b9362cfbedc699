package service

import (
	"cmp"
	"container/list"
	"net/netip"
	"slices"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/config"
)

// DefaultMaxTemplates bounds the clients that persistence remembers for one service, where [Service.SetMaxTemplates] does
// not. Each takes about 200 bytes.
const DefaultMaxTemplates = 1 << 18

// controlledStep is for how long the kernel keeps a template further whose time is over while the client still has
// connections (ip_vs_conn_expire).
const controlledStep = time.Minute

// template is what persistence remembers of a client network: the kernel's connection template. It is found until it
// expires, and its time begins anew with each connection.
type template struct {
	client  netip.Addr
	server  *Server
	expires time.Time
	held    int   // connections that go on
	line    *line // of those with the same time-out
	place   *list.Element
}

// line holds the templates of one time-out, so that the one that expires next is in front.
type line struct {
	timeout time.Duration
	stepped bool // those that are kept for their connections
	list    list.List
}

// templates are a service's. They are guarded by its lock.
type templates struct {
	netmask int
	most    int
	clients map[netip.Addr]*template
	lines   []*line // the steps, the present time-out, and former ones as long as they have templates
}

// The places in lines.
const (
	steps   = 0
	present = 1
)

// configure follows another Spec. What is remembered by another netmask expires by and by, and what is remembered with
// another time-out keeps it until its next connection.
func (ts *templates) configure(p config.Persistence) {
	ts.netmask = p.Netmask
	if ts.clients == nil {
		ts.clients = map[netip.Addr]*template{}
		ts.most = DefaultMaxTemplates
		ts.lines = []*line{{timeout: controlledStep, stepped: true}, {timeout: p.Timeout}}
	}
	if p.Timeout == ts.lines[present].timeout {
		return
	}
	i := slices.IndexFunc(ts.lines, func(l *line) bool { return !l.stepped && l.timeout == p.Timeout })
	if i < 0 {
		i = len(ts.lines)
		ts.lines = append(ts.lines, &line{timeout: p.Timeout})
	}
	ts.lines[present], ts.lines[i] = ts.lines[i], ts.lines[present]
}

// network returns what is remembered of a client's address.
func (ts *templates) network(client netip.Addr) netip.Addr {
	if ts.netmask >= client.BitLen() {
		return client.WithZone("")
	}
	prefix, err := client.Prefix(ts.netmask)
	if err != nil {
		return client
	}
	return prefix.Addr()
}

// find returns the template of a client network, or nil.
func (ts *templates) find(client netip.Addr, now time.Time) *template {
	ts.expire(now, expireAtOnce)
	t := ts.clients[client]
	if t == nil || now.Before(t.expires) {
		return t
	}
	if t.held == 0 {
		ts.remove(t)
		return nil
	}
	ts.step(t, now)
	return t
}

// expireAtOnce bounds how many expired templates one pick takes away.
const expireAtOnce = 4

// expire takes away up to n expired templates of each time-out.
func (ts *templates) expire(now time.Time, n int) {
	for i, l := range ts.lines {
		for range n {
			front := l.list.Front()
			if front == nil || now.Before(front.Value.(*template).expires) {
				break
			}
			if t := front.Value.(*template); t.held > 0 {
				ts.step(t, now)
			} else {
				ts.remove(t)
			}
		}
		if i > present && l.list.Len() == 0 {
			ts.lines = slices.Delete(slices.Clone(ts.lines), i, i+1)
			return
		}
	}
}

// step keeps an expired template whose client has connections.
func (ts *templates) step(t *template, now time.Time) {
	late := now.Sub(t.expires)
	t.expires = t.expires.Add(late - late%controlledStep + controlledStep)
	// It belongs near the end: those who were stepped since it expired may come after it.
	l := ts.lines[steps]
	t.line.list.Remove(t.place)
	t.line = l
	after := l.list.Back()
	for after != nil && after.Value.(*template).expires.After(t.expires) {
		after = after.Prev()
	}
	if after == nil {
		t.place = l.list.PushFront(t)
	} else {
		t.place = l.list.InsertAfter(t, after)
	}
}

// use begins a template's time anew. One that was kept for its connections goes on in steps, as in the kernel.
func (ts *templates) use(t *template, now time.Time) {
	if l := t.line; l.stepped || l == ts.lines[present] {
		t.expires = now.Add(l.timeout)
		l.list.MoveToBack(t.place)
		return
	}
	ts.line(t, now)
}

// line puts a template to the end of those with the service's time-out.
func (ts *templates) line(t *template, now time.Time) {
	if t.line != nil {
		t.line.list.Remove(t.place)
	}
	t.line = ts.lines[present]
	t.expires = now.Add(t.line.timeout)
	t.place = t.line.list.PushBack(t)
}

// add remembers a client network. With too many remembered, one of those that were not used for longest is forgotten.
func (ts *templates) add(client netip.Addr, server *Server, now time.Time) *template {
	for len(ts.clients) >= ts.most {
		ts.remove(ts.oldest())
	}
	t := &template{client: client, server: server}
	ts.line(t, now)
	ts.clients[client] = t
	server.templates++
	return t
}

func (ts *templates) oldest() *template {
	for _, l := range slices.Backward(ts.lines) { // the steps last: they have connections
		if front := l.list.Front(); front != nil {
			return front.Value.(*template)
		}
	}
	return nil // never called without templates
}

// redirect sends a client network to another server from now on. In the kernel that is another template: its time-out is
// the service's.
func (ts *templates) redirect(t *template, server *Server, now time.Time) {
	t.server.templates--
	server.templates++
	t.server = server
	ts.line(t, now)
}

func (ts *templates) remove(t *template) {
	t.line.list.Remove(t.place)
	delete(ts.clients, t.client)
	t.server.templates--
}

// Templates calls yield for each client network that persistence remembers, as a [Conn] whose client has port 0, until
// yield returns false. They come by when they expire.
func (s *Service) Templates(yield func(Conn) bool) {
	for _, c := range s.templateConns() {
		if !yield(c) {
			return
		}
	}
}

func (s *Service) templateConns() []Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.templates.expire(now, len(s.templates.clients))
	conns := make([]Conn, 0, len(s.templates.clients))
	for _, t := range s.templates.clients {
		conns = append(conns, Conn{
			Protocol: s.id.Protocol, State: "ASSURED", Expires: t.expires.Sub(now),
			Client: netip.AddrPortFrom(t.client, 0), Virtual: s.id.Addr, Server: t.server.addr,
		})
	}
	slices.SortFunc(conns, func(a, b Conn) int {
		return cmp.Or(cmp.Compare(a.Expires, b.Expires), a.Client.Compare(b.Client))
	})
	return conns
}

// SetMaxTemplates bounds how many client networks persistence remembers; 0 means [DefaultMaxTemplates].
func (s *Service) SetMaxTemplates(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.templates.most = max(1, cmp.Or(n, DefaultMaxTemplates))
}
