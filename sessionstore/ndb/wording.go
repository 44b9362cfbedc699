package ndb

import (
	"slices"
	"strings"

	"github.com/lvsession/lvsession/sessionstore"
)

// sizes are the numbers of rows that statements on several rows are worded for, so that a connection has few of them to keep
// prepared. The last is the size of the largest batch.
var sizes = []int{1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128}

const maxBatch = 128

// wording puts together a statement on the rows of several changes, piece by piece: each method adds the arguments of the
// text that it returns. What the text names beyond the rows that there are repeats the last one, which changes nothing.
type wording struct {
	keys []sessionstore.Key
	list []change // whose keys they are, if they are those of changes
	rows int      // that the text names, one of sizes
	args []any
}

// wordKeys begins a statement on the rows of keys.
func wordKeys(keys []sessionstore.Key) *wording {
	i, _ := slices.BinarySearch(sizes, len(keys))
	return &wording{keys: keys, rows: sizes[i]}
}

// word begins a statement on the rows of changes.
func word(list []change) *wording {
	keys := make([]sessionstore.Key, len(list))
	for i := range list {
		keys[i] = list[i].key
	}
	w := wordKeys(keys)
	w.list = list
	return w
}

// key is that of a row of the text.
func (w *wording) key(row int) []byte { return w.keys[min(row, len(w.keys)-1)][:] }

// arg is an argument that does not depend on the row.
func (w *wording) arg(value any) string {
	w.args = append(w.args, value)
	return "?"
}

// ids is the condition on the key.
func (w *wording) ids() string {
	for i := range w.rows {
		w.args = append(w.args, w.key(i))
	}
	return "id IN (" + list("?", w.rows) + ")"
}

// cases are a value for each row. None is what stands beside the repeated rows, where it is never looked at.
func (w *wording) cases(then string, value func(change) any, none any) string {
	for i := range w.rows {
		v := none
		if i < len(w.list) {
			v = value(w.list[i])
		}
		w.args = append(w.args, w.key(i), v)
	}
	return "CASE id" + strings.Repeat(" WHEN ? THEN "+then, w.rows)
}

// each is a number for each row. Mostly it is the same for all; mixed says that it is not.
func each[T int64 | uint64](w *wording, mixed bool, value func(change) T) string {
	if !mixed {
		return w.arg(value(w.list[0]))
	}
	return w.cases("?", func(c change) any { return value(c) }, T(0)) + " END"
}

// expiry is what expirySet is for one row.
func (w *wording) expiry(mixed bool, expires func(change) int64) string {
	return "expires = IF(deadline = 0 OR deadline > " + each(w, mixed, expires) + ", " + each(w, mixed, expires) + ", deadline), due = expires DIV 60000 + 1"
}

// tokens is the condition that leases have the tokens of changes.
func (w *wording) tokens() string {
	return w.cases("token = ?", func(c change) any { return c.token() }, uint64(0)) + " END"
}

// ofSubjects is the condition that sessions are of the subjects that writes name, if any do.
func (w *wording) ofSubjects() string {
	named := slices.DeleteFunc(slices.Clone(w.list), func(c change) bool { return c.write.Subject == sessionstore.Key{} })
	if len(named) == 0 {
		return ""
	}
	some := word(named)
	some.rows = w.rows
	text := " AND " + some.cases("subject = ?", func(c change) any { return c.write.Subject[:] }, []byte{}) + " ELSE TRUE END"
	w.args = append(w.args, some.args...)
	return text
}

// differ tells whether a value is not the same for all changes.
func differ[T comparable](list []change, value func(change) T) bool {
	first := value(list[0])
	return slices.ContainsFunc(list, func(c change) bool { return value(c) != first })
}
