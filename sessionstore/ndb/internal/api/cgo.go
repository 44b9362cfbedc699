//go:build ndbapi

package api

// #cgo CXXFLAGS: -std=c++20 -O2 -fno-exceptions -Wall
// #cgo LDFLAGS: -lndbclient
// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"fmt"
	"unsafe"
)

type cluster struct{ c *C.lv_cluster }

type worker struct {
	w   *C.lv_worker
	ops *[Slots]Op
}

// Connect connects to a cluster: to the first management node that answers, and to data nodes.
func Connect(o Options) (Cluster, error) {
	if err := checkLayout(); err != nil {
		return nil, err
	}
	nodes, name := C.CString(o.Nodes), C.CString(o.Name)
	defer C.free(unsafe.Pointer(nodes))
	defer C.free(unsafe.Pointer(name))
	var e C.lv_error
	c := C.lv_connect(nodes, name, C.int(o.Seconds), &e)
	if c == nil {
		return nil, failure(&e)
	}
	return &cluster{c}, nil
}

// checkLayout tells whether Go and C++ see the same structures.
func checkLayout() error {
	var s C.lv_sizes
	C.lv_layout(&s)
	var o Op
	ours := C.lv_sizes{
		op: C.uint64_t(unsafe.Sizeof(o)), session: C.uint64_t(unsafe.Sizeof(o.Row)), chunk: C.uint64_t(unsafe.Sizeof(Chunk{})),
		lease: C.uint64_t(unsafe.Sizeof(o.Lock)), version: C.uint64_t(unsafe.Sizeof(Version{})),
		row: C.uint64_t(unsafe.Offsetof(o.Row)), lock: C.uint64_t(unsafe.Offsetof(o.Lock)), code: C.uint64_t(unsafe.Offsetof(o.Code)),
		payload: C.uint64_t(unsafe.Offsetof(o.Row.payload)), data: C.uint64_t(unsafe.Offsetof(Chunk{}.data)),
	}
	if s != ours || C.LV_SLOTS != Slots {
		return fmt.Errorf("the shim's structures are not as expected: %v, want %v", s, ours)
	}
	return nil
}

func failure(e *C.lv_error) error {
	return &Error{Code: int(e.code), Status: Status(e.status), Text: C.GoString(&e.text[0])}
}

func (c *cluster) Close() { C.lv_disconnect(c.c) }

func (c *cluster) Worker(database string) (Worker, error) {
	name := C.CString(database)
	defer C.free(unsafe.Pointer(name))
	var e C.lv_error
	w := C.lv_worker_new(c.c, name, &e)
	if w == nil {
		return nil, failure(&e)
	}
	return &worker{w, (*[Slots]Op)(unsafe.Pointer(C.lv_ops(w)))}, nil
}

func (w *worker) Ops() *[Slots]Op { return w.ops }

func (w *worker) Read(n int, what Reading) { C.lv_read(w.w, C.int(n), C.int(what)) }

func (w *worker) Change(n int) { C.lv_change(w.w, C.int(n)) }

func (w *worker) Describe(o *Op) error {
	var e C.lv_error
	C.lv_describe(w.w, C.int(o.Code), &e)
	return &Error{Code: int(o.Code), Status: o.Status, Text: C.GoString(&e.text[0])}
}

func (w *worker) Begin(id *[32]byte) error {
	var e C.lv_error
	return result(C.lv_begin(w.w, (*C.uint8_t)(&id[0]), &e), &e)
}

func (w *worker) Get(t Table, slot int, mode Mode, heads bool) error {
	var e C.lv_error
	return result(C.lv_get(w.w, C.int(t), C.int(slot), C.int(mode), flag(heads), &e), &e)
}

func (w *worker) GetChunks(n int) error {
	var e C.lv_error
	return result(C.lv_get_chunks(w.w, C.int(n), &e), &e)
}

func (w *worker) Put(t Table, slot int, c Change) error {
	var e C.lv_error
	return result(C.lv_put(w.w, C.int(t), C.int(slot), C.int(c), &e), &e)
}

func (w *worker) Commit() error {
	var e C.lv_error
	return result(C.lv_commit(w.w, &e), &e)
}

func (w *worker) Rollback() { C.lv_rollback(w.w) }

func (w *worker) Scan(t Table, flags int, each func() bool) error {
	var e C.lv_error
	if err := result(C.lv_scan(w.w, C.int(t), C.int(flags), &e), &e); err != nil {
		return err
	}
	defer C.lv_scan_end(w.w)
	for {
		switch C.lv_next(w.w, &e) {
		case 0:
			if !each() {
				return nil
			}
		case 1:
			return nil
		default:
			return failure(&e)
		}
	}
}

func (w *worker) Close(stale bool) { C.lv_worker_free(w.w, flag(stale)) }

func result(code C.int, e *C.lv_error) error {
	if code == 0 {
		return nil
	}
	return failure(e)
}

func flag(b bool) C.int {
	if b {
		return 1
	}
	return 0
}
