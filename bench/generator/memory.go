package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"

	"github.com/lvsession/lvsession/bench/internal/figures"
	"github.com/lvsession/lvsession/bench/load"
	"github.com/lvsession/lvsession/bench/load/counterpage"
	"github.com/lvsession/lvsession/sessionstore"
)

// visitsOfEach is how many requests each of the users makes whose memory is measured.
const visitsOfEach = 3

// memory measures the memory of vipbench with many users, who each have visited the counter page a few times.
func (o options) memory(ctx context.Context) (figures.Table, error) {
	t := figures.Table{Title: "memory with many users", Labels: []string{"users"}, Figures: []string{"MiB at most", "KiB for each", "requests/s", "proven"}}
	url, stop, err := serve(counterpage.Handler("web1", new(sessions).open))
	if err != nil {
		return t, err
	}
	defer stop()
	cmd := exec.CommandContext(ctx, o.vipbench, "--users", strconv.Itoa(o.users), "--requests", strconv.Itoa(visitsOfEach), "--json", "--quiet", url)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return t, fmt.Errorf("vipbench: %w", err)
	}
	var r load.Result
	if err := json.Unmarshal(out, &r); err != nil {
		return t, err
	}
	kib := float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
	t.Add([]string{strconv.Itoa(o.users)}, figures.Samples{kib / 1024}, figures.Samples{kib / float64(o.users)}, figures.Samples{r.Throughput}, r.Proven)
	return t, nil
}

// sessions are in memory, for the counter page.
type sessions struct{ byID sync.Map }

type session struct {
	of     *sessions
	w      http.ResponseWriter
	id     string
	visits counterpage.Visits
}

func (s *sessions) open(w http.ResponseWriter, r *http.Request) (counterpage.Session, error) {
	if c, err := r.Cookie("sid"); err == nil {
		if v, found := s.byID.Load(c.Value); found {
			return &session{s, w, c.Value, v.(counterpage.Visits)}, nil
		}
	}
	return &session{of: s, w: w, id: sessionstore.NewID()}, nil
}

func (s *session) Get() counterpage.Visits  { return s.visits }
func (s *session) Set(v counterpage.Visits) { s.visits = v }
func (s *session) ID() string               { return s.id }
func (s *session) Save() error {
	s.of.byID.Store(s.id, s.visits)
	http.SetCookie(s.w, &http.Cookie{Name: "sid", Value: s.id, Path: "/"})
	return nil
}
