package load_test

import (
	"bufio"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"github.com/lvsession/lvsession/bench/load"
	"github.com/lvsession/lvsession/bench/rig/redis"
	"github.com/lvsession/lvsession/bench/rig/sessiond"
)

// What users do at a page they can do at sessiond, over HTTP and over Redis's protocol, and at Redis.
func TestRunDirect(t *testing.T) {
	dir := t.TempDir()
	program, err := sessiond.Build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	port := freeAddr(t)
	ours, err := program.Start(t.Context(), filepath.Join(dir, "log"), "--store", "embedded", "--data", filepath.Join(dir, "data"), "--sync", "everysec", "--redis", port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ours.Stop)
	theirs := redis.Start(t, redis.EverySec)
	for _, url := range []string{"sessiond://" + ours.Addr(), "sessiond://" + ours.Addr() + "/shop", "redis://" + port, "redis://" + theirs.Addr()} {
		for _, keep := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s keepalive %v", url, keep), func(t *testing.T) {
				c := busy(t)
				c.URL, c.KeepAlive, c.Requests = url, keep, 60
				r, err := load.Run(t.Context(), c, nil)
				if err != nil {
					t.Fatal(err)
				}
				if !r.Proven || r.Ended != load.Complete || r.Sessions < 2*20 || len(r.Shares) != 1 || r.Target != c.Target() {
					t.Errorf("%s; ended %s, %d sessions, shares %+v, errors %.5v, violations %.1v", r.Reason, r.Ended, r.Sessions, r.Shares, r.Errors, r.Violations)
				}
				if !keep && r.Connections != r.Attempts {
					t.Errorf("%d connections for %d requests", r.Connections, r.Attempts)
				}
			})
		}
	}
}

func freeAddr(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// A Redis that loses what it is told is found out as a page is.
func TestRunDirectFindsLoss(t *testing.T) {
	theirs := redis.Start(t, redis.EverySec)
	c := load.Config{URL: "redis://" + theirs.Addr(), Users: 10, Rate: 200, Requests: 20}
	conn, err := net.Dial("tcp", theirs.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var once sync.Once
	r, err := load.Run(t.Context(), c, func(s load.Snapshot) {
		if s.Done > 20 {
			once.Do(func() { fmt.Fprint(conn, "FLUSHALL\r\n") })
		}
	})
	if err != nil || r.Proven || r.ViolationsByKind[load.Logout] == 0 {
		t.Errorf("%v, %+v", err, r.ViolationsByKind)
	}
}

// A director alone is loaded with lines, and the servers' shares are seen.
func TestRunTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 0; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				for r := bufio.NewReader(conn); ; {
					if _, err := r.ReadString('\n'); err != nil {
						return
					}
					fmt.Fprintf(conn, "real%d\n", 1+n%4/3) // three of four connections go to real1
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	c := load.Config{URL: "tcp://" + l.Addr().String(), Users: 4, Requests: 50, NoProbe: true, Weights: map[string]int{"real1": 3, "real2": 1}}
	r, err := load.Run(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Proven || r.Acknowledged != 200 || len(r.Shares) != 2 || r.Shares[0].Answers != 150 || r.Target != load.TCP {
		t.Errorf("%s: %+v", r.Reason, r.Shares)
	}
}

// A plain page need keep no contract but its status.
func TestRunPlain(t *testing.T) {
	s := newSite(t)
	for _, keep := range []bool{false, true} {
		c := load.Config{URL: s.url + "?user=anybody", Plain: true, Users: 5, Requests: 20, KeepAlive: keep}
		r, err := load.Run(t.Context(), c, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !r.Proven || r.Acknowledged != 100 || r.Target != load.Plain || r.ViolationsTotal != 0 {
			t.Errorf("%s: %+v", r.Reason, r.ErrorsByClass)
		}
	}
}
