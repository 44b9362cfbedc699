package resp

import (
	"errors"
	"strconv"
	"sync"

	"github.com/lvsession/lvsession/sessionstore"
)

// scans remembers where SCANs go on: a store's cursor is a text, while Redis's clients want a number. Only so many are
// remembered; the oldest are forgotten first.
type scans struct {
	mu    sync.Mutex
	last  uint64
	slots [maxScans]scanPlace
}

const maxScans = 4096

type scanPlace struct {
	number    uint64
	namespace string
	cursor    sessionstore.Cursor
}

// put returns a number for a place; 0 stands for the end.
func (s *scans) put(namespace string, at sessionstore.Cursor) uint64 {
	if at == "" {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	s.slots[s.last%maxScans] = scanPlace{s.last, namespace, at}
	return s.last
}

// get returns the place of a number; 0 stands for the beginning.
func (s *scans) get(namespace string, number uint64) (at sessionstore.Cursor, ok bool) {
	if number == 0 {
		return "", true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	place := s.slots[number%maxScans]
	return place.cursor, place.number == number && place.namespace == namespace
}

const errCursor answer = "ERR invalid cursor"

// scanOptions are those of SCAN.
type scanOptions struct {
	match []byte // nil for all
	typ   string
	count int
}

func (c *call) scanOptions() (o scanOptions, err error) {
	o.count = 10
	for i := 2; i < len(c.args); i += 2 {
		if i+1 == len(c.args) {
			return o, errSyntax
		}
		switch c.option(i) {
		case "MATCH":
			o.match = c.args[i+1]
		case "TYPE":
			o.typ = c.option(i + 1)
		case "COUNT":
			n, err := c.number(i + 1)
			if err != nil {
				return o, err
			}
			if n < 1 {
				return o, errSyntax
			}
			o.count = int(min(n, sessionstore.MaxPage))
		default:
			return o, errSyntax
		}
	}
	return o, nil
}

// scan is SCAN cursor [MATCH pattern] [COUNT n] [TYPE type]. The names of keys are not stored, so it shows stand-ins:
// what stood before the id, and something that every command takes for the key itself.
func scan(c *call) error {
	number, err := strconv.ParseUint(string(c.args[1]), 10, 64)
	if err != nil {
		return errCursor
	}
	o, err := c.scanOptions()
	if err != nil {
		return err
	}
	at, ok := c.scans.get(c.space.Name(), number)
	if !ok {
		return errCursor
	}
	page, err := c.space.Walk(c.ctx, sessionstore.Walk{After: at, Limit: o.count, Payload: true})
	if err != nil {
		return err
	}
	var found []string
	for _, s := range page.Sessions {
		if text, ok := c.standIn(s, o); ok {
			found = append(found, text)
		}
	}
	c.array(2)
	c.text(strconv.FormatUint(c.scans.put(c.space.Name(), page.Next), 10))
	c.array(len(found))
	for _, text := range found {
		c.text(text)
	}
	return nil
}

// standIn returns the stand-in of what lies under a key; ok is false if that is not asked for.
func (c *call) standIn(s sessionstore.Session, o scanOptions) (text string, ok bool) {
	kind, prefix, typ := session, "", stringy
	if len(c.opts.Prefixes) > 0 {
		prefix = c.opts.Prefixes[0]
	}
	if v, err := decodeValue(s.Payload); err == nil {
		kind, prefix, typ = plain, v.prefix, v.typ
	}
	if typ == absent || o.typ != "" && o.typ != upper(typ) {
		return "", false
	}
	text = c.names.standIns.seal(c.space.Name(), kind, prefix, s.Key)
	return text, o.match == nil || glob(o.match, []byte(text))
}

func upper(t valueType) string {
	if t == hashy {
		return "HASH"
	}
	return "STRING"
}

// dbsize counts by looking at every key. A key counts for another millisecond after it was removed.
func dbsize(c *call) error {
	var n int64
	for w := (sessionstore.Walk{Limit: sessionstore.MaxPage}); ; {
		page, err := c.space.Walk(c.ctx, w)
		if err != nil {
			return err
		}
		n += int64(len(page.Sessions))
		if page.Next == "" {
			c.integer(n)
			return nil
		}
		if page.Next == w.After {
			return errors.New("a walk that does not move")
		}
		w.After = page.Next
	}
}
