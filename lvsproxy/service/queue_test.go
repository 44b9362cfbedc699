package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/scheduler"
)

func queued(v config.Virtual, maxConns, queue int, timeout time.Duration) config.Virtual {
	v.Own.MaxConns, v.Own.Queue, v.Own.QueueTimeout = maxConns, queue, timeout
	return v
}

// TestQueue: those who wait are served in order, those who waited for too long are sent away, and further ones at once.
func TestQueue(t *testing.T) {
	for name, v := range map[string]config.Virtual{
		"of the server":  queued(limited(0, 2), 0, 3, time.Second),
		"of the service": queued(virtual("rr", 1), 2, 3, time.Second),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := allUp(t, v)
				for range 2 {
					if _, err := s.Take(&Claim{}); err != nil {
						t.Fatal(err)
					}
				}
				var answers []string
				claims := make([]*Claim, 4)
				for i := range claims {
					claims[i] = &Claim{Ready: func(server *Server, err error) {
						answers = append(answers, fmt.Sprint(i, " ", server != nil, " ", err))
					}}
					want := ErrWaiting
					if i == 3 {
						want = ErrBusy
					}
					if server, err := s.Take(claims[i]); !errors.Is(err, want) || server != nil {
						t.Errorf("%d: got %v, %v", i, server, err)
					}
				}
				server := s.servers[addr(1)]
				server.Failed()
				server.Canceled()
				if !s.Leave(claims[2]) {
					t.Error("claim 2 did not wait")
				}
				last := &Claim{Ready: func(_ *Server, err error) { answers = append(answers, fmt.Sprint("last ", err)) }}
				if _, err := s.Take(last); !errors.Is(err, ErrWaiting) {
					t.Errorf("got %v", err)
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				want := []string{"0 true <nil>", "1 true <nil>", "last " + ErrWaited.Error()}
				if !slices.Equal(answers, want) {
					t.Errorf("got %q, want %q", answers, want)
				}
				if s.waiting.Load() != 0 || s.queue.Len() != 0 {
					t.Error("somebody still waits")
				}
			})
		})
	}
}

// TestNobody: with no server there is nothing to wait for, and those who wait learn it.
func TestNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := allUp(t, queued(limited(0, 1), 0, 3, time.Minute))
		if _, err := s.Take(&Claim{}); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			_, err := s.Wait(t.Context(), &Claim{})
			done <- err
		}()
		synctest.Wait()
		if _, err := s.Update(queued(virtual("rr"), 0, 3, time.Minute)); err != nil {
			t.Fatal(err)
		}
		if err := <-done; !errors.Is(err, ErrNobody) {
			t.Errorf("got %v", err)
		}
		if _, err := s.Take(&Claim{Ready: func(*Server, error) {}}); !errors.Is(err, ErrNobody) {
			t.Errorf("got %v", err)
		}
	})
}

// TestWaitEnds: a caller who gives up leaves nothing behind.
func TestWaitEnds(t *testing.T) {
	s := allUp(t, queued(limited(0, 1), 0, 3, time.Minute))
	if _, err := s.Take(&Claim{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Wait(ctx, &Claim{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if s.waiting.Load() != 0 {
		t.Error("somebody still waits")
	}
	s.alarm.Stop()
}

// TestQueueUnderLoad: whatever the order in which many take and end, the limit holds, nobody is forgotten and all ends
// at zero.
func TestQueueUnderLoad(t *testing.T) {
	const limit = 5
	v := queued(virtual("wlc", 1, 2, 3), limit, 1000, time.Minute)
	v.Persistence = config.Persistence{Timeout: time.Minute, Netmask: 32}
	s := allUp(t, v)
	var wg sync.WaitGroup
	for n := range 200 {
		wg.Go(func() {
			c := &Claim{Flow: client(n % 20)}
			server, err := s.Wait(t.Context(), c)
			if err != nil {
				t.Error(err)
				return
			}
			if total := s.total.Load(); total > limit {
				t.Errorf("%d connections", total)
			}
			if n%3 == 0 {
				server.Failed()
			} else {
				server.Established()
				server.Closed(false)
			}
			s.Leave(c)
		})
	}
	wg.Wait()
	if s.total.Load() != 0 || s.waiting.Load() != 0 {
		t.Errorf("%d connections, %d waiting", s.total.Load(), s.waiting.Load())
	}
	for _, template := range s.templates.clients {
		if template.held != 0 {
			t.Errorf("%v is held %d times", template.client, template.held)
		}
	}
	if s.Pick(scheduler.Flow{Client: client(1).Client}, nil) == nil {
		t.Error("nobody is picked")
	}
}
