package memory

import "github.com/lvsession/lvsession/sessionstore"

// due says when to look at a key for collection.
type due struct {
	at  int64
	key sessionstore.Key
}

// index is a heap of keys by the time at which they can be collected at the earliest. When a touch moves that time back,
// the entry stays where it is and is put right when it comes up, so that a touch costs nothing here; when the time comes
// nearer, a second entry goes in, and the first is passed over.
type index []due

func (x index) Len() int           { return len(x) }
func (x index) Less(i, j int) bool { return x[i].at < x[j].at }
func (x index) Swap(i, j int)      { x[i], x[j] = x[j], x[i] }

// Push implements heap.Interface.
func (x *index) Push(v any) { *x = append(*x, v.(due)) }

// Pop implements heap.Interface.
func (x *index) Pop() any {
	last := len(*x) - 1
	v := (*x)[last]
	*x = (*x)[:last]
	return v
}
