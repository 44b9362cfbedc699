package httpapi

import (
	"fmt"
	"math"
	"sync"

	"github.com/lvsession/lvsession/sessionstore"
)

// maxBatch is how many operations one batch may hold.
const maxBatch = 128

// batchBody is the JSON body of a batch.
type batchBody struct {
	Operations []batchOperation `json:"operations"`
}

// batchOperation is one operation of a batch. What an operation does not take must be absent.
type batchOperation struct {
	Op      string  `json:"op"` // read, write, touch, destroy
	ID      string  `json:"id"`
	Payload []byte  `json:"payload"`    // write: base64
	Version *uint64 `json:"if_version"` // write: the version it must have, 0 for none; absent: last writer wins
	Lease   uint64  `json:"lease"`      // write
	Subject string  `json:"subject"`    // write
	IdleMS  int64   `json:"idle_ms"`    // write, touch
	Create  bool    `json:"create"`     // touch
}

// batchResult is what became of one operation: what the operation alone would have been answered.
type batchResult struct {
	Status     int    `json:"status"`
	Version    uint64 `json:"version,omitempty"`
	Payload    []byte `json:"payload,omitempty"`
	CreatedMS  int64  `json:"created_ms,omitempty"`
	ExpiresMS  int64  `json:"expires_ms,omitempty"`
	DeadlineMS int64  `json:"deadline_ms,omitempty"`
	Title      string `json:"title,omitempty"`
	Detail     string `json:"detail,omitempty"`
	RetryAfter int    `json:"retry_after,omitempty"` // seconds
}

// batch runs the operations side by side, so that they reach the store together; those on one session run in their
// order. Each has a result of its own, in the order of the operations.
func (r *request) batch() {
	var body batchBody
	if !r.decode("batch", &body) {
		return
	}
	if n := len(body.Operations); n < 1 || n > maxBatch {
		r.answerError(r.http, "batch", fmt.Errorf("%w: a batch has 1 to %d operations, this one has %d", sessionstore.ErrInvalid, maxBatch, n))
		return
	}
	results := make([]batchResult, len(body.Operations))
	var working sync.WaitGroup
	for _, places := range placesByID(body.Operations) {
		working.Go(func() {
			for _, i := range places {
				results[i] = r.perform(&body.Operations[i])
			}
		})
	}
	working.Wait()
	answerJSON(r.http, struct {
		Results []batchResult `json:"results"`
	}{results})
}

// placesByID returns where in the batch the operations on each session stand.
func placesByID(operations []batchOperation) map[string][]int {
	places := make(map[string][]int, len(operations))
	for i, o := range operations {
		places[o.ID] = append(places[o.ID], i)
	}
	return places
}

// perform does one operation of a batch.
func (r *request) perform(o *batchOperation) batchResult {
	ctx, cancel := r.context(0)
	defer cancel()
	if err := o.check(); err != nil {
		return r.failure(o, err)
	}
	idle := milliseconds(o.IdleMS)
	switch o.Op {
	case "read":
		session, err := r.ns.Read(ctx, o.ID)
		if err != nil {
			return r.failure(o, err)
		}
		return resultOf(session)
	case "write":
		w := sessionstore.WriteOptions{Payload: o.Payload, IfVersion: sessionstore.AnyVersion, Token: o.Lease, Idle: idle, Subject: o.Subject}
		if o.Version != nil {
			w.IfVersion = *o.Version
		}
		version, err := r.create(ctx, o.ID, w)
		if err != nil {
			return r.failure(o, err)
		}
		return batchResult{Status: 204, Version: version}
	case "touch":
		if err := r.touchOrCreate(ctx, o.ID, sessionstore.TouchOptions{Create: o.Create, Idle: idle}); err != nil {
			return r.failure(o, err)
		}
	case "destroy":
		if err := r.ns.Destroy(ctx, o.ID); err != nil {
			return r.failure(o, err)
		}
	}
	return batchResult{Status: 204}
}

// check refuses what the operation does not take: a client that sends it expects something of it.
func (o *batchOperation) check() error {
	writes, touches := o.Op == "write", o.Op == "touch"
	switch {
	case !writes && !touches && o.Op != "read" && o.Op != "destroy":
		return fmt.Errorf("%w: op %.20q: there are read, write, touch and destroy", sessionstore.ErrInvalid, o.Op)
	case !writes && (o.Payload != nil || o.Version != nil || o.Lease != 0 || o.Subject != ""):
		return fmt.Errorf("%w: payload, if_version, lease and subject go with op write", sessionstore.ErrInvalid)
	case !writes && !touches && o.IdleMS != 0:
		return fmt.Errorf("%w: idle_ms goes with op write and op touch", sessionstore.ErrInvalid)
	case !touches && o.Create:
		return fmt.Errorf("%w: create goes with op touch", sessionstore.ErrInvalid)
	case o.Version != nil && *o.Version == math.MaxUint64:
		return fmt.Errorf("%w: if_version is out of range", sessionstore.ErrInvalid)
	}
	return sessionstore.CheckID(o.ID)
}

// resultOf returns the result of an operation that found a session.
func resultOf(s sessionstore.Session) batchResult {
	result := batchResult{
		Status: 200, Version: s.Version, Payload: s.Payload, CreatedMS: s.Created.UnixMilli(), ExpiresMS: s.Expires.UnixMilli(),
	}
	if !s.Deadline.IsZero() {
		result.DeadlineMS = s.Deadline.UnixMilli()
	}
	return result
}

// failure returns the result of an operation that came to an error.
func (r *request) failure(o *batchOperation, err error) batchResult {
	p, retry := r.judge("batch "+o.Op, err)
	return batchResult{Status: p.Status, Title: p.Title, Detail: p.Detail, RetryAfter: wholeSeconds(retry)}
}
