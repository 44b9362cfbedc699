package wholepath

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/load"
	"github.com/lvsession/lvsession/bench/rig/ndbcluster"
	"github.com/lvsession/lvsession/bench/rig/need"
)

// The load on each kind of real server. It is an open one: in a closed load, users of the faster kind would be done
// before anything is killed.
const (
	users    = 200
	requests = 50
	rate     = 120 // a second
)

// TestKillsUnderLoad loads PHP and Go real servers through the director at the same time, kills one real server of each
// kind, one sessiond and one SQL node in the middle, and asserts that no acknowledged visit was lost, that nobody was
// logged out, and that only requests in flight at a kill failed.
func TestKillsUnderLoad(t *testing.T) {
	killsUnderLoad(t, &fleet{T: t}, "sql1", func(_ *ndbcluster.Cluster, dsns []string) [2][]string {
		return [2][]string{onSQL(dsns), onSQL(dsns)}
	})
}

// TestAPIKillsUnderLoad is the same with sessiond1 on SQL and sessiond2 on the NDB API, and a data node that is killed.
func TestAPIKillsUnderLoad(t *testing.T) {
	env, err := ndbcluster.BuildEnv()
	if err != nil {
		need.Skip(t, err.Error())
	}
	killsUnderLoad(t, &fleet{T: t, tags: "ndbapi", buildEnv: env}, "data2", func(c *ndbcluster.Cluster, dsns []string) [2][]string {
		database := dsns[0][strings.LastIndexByte(dsns[0], '/')+1:]
		api := []string{"--store", "ndbapi", "--ndb-connect", c.Connect(), "--ndb-database", database}
		return [2][]string{onSQL(dsns), api}
	})
}

// killsUnderLoad kills a node of the cluster last. The stores are the two sessiond's; the first of these is killed, too.
func killsUnderLoad(t *testing.T, f *fleet, node string, stores func(*ndbcluster.Cluster, []string) [2][]string) {
	cluster := ndbcluster.Start(t, ndbcluster.Options{})
	dsns := ndbcluster.Database(t, cluster.DSNs())
	f.dir = t.TempDir()
	f.build("sessiond", "lvsproxy")
	f.schema(dsns[0])
	args := stores(cluster, dsns)
	sessiond := f.sessiond("sessiond1", args[0])
	f.sessiond("sessiond2", args[1])

	php1, php2 := f.phpServer("php1"), f.phpServer("php2")
	go1, go1Addr := f.goServer("go1")
	_, go2Addr := f.goServer("go2")
	phpVIP, goVIP := f.addr(), f.addr()
	f.director(fmt.Sprintf(`
checktimeout=2
checkinterval=1
quiescent=no
virtual=%s
	real=%s masq
	real=%s masq
	service=http
	request="lvscheck.html"
	receive="C.*"
	scheduler=rr
	protocol=tcp
	checktype=negotiate
virtual=%s
	real=%s masq 1
	real=%s masq 3
	service=http
	request="lvscheck.html"
	receive="C.*"
	scheduler=wrr
	protocol=tcp
	checktype=negotiate
`, phpVIP, php1.Addr(), php2.Addr(), goVIP, go1Addr, go2Addr), phpVIP, goVIP)
	t.Logf("\n%s", f.table())

	faults := &faults{T: t, steps: []fault{
		{0.25, "real server php1", func() error { php1.Kill(); return nil }},
		{0.35, "real server go1", func() error { go1.Kill(); return nil }},
		{0.5, "sessiond1", func() error { sessiond.Kill(); return nil }},
		{0.65, "node " + node, func() error { return cluster.Kill(node) }},
	}}
	results := f.load(map[string]string{"php": "http://" + phpVIP + "/", "go": "http://" + goVIP + "/"}, faults)
	t.Logf("\n%s", f.table())
	for kind, r := range results {
		faults.judge(kind, r)
	}
	if len(faults.steps) > 0 {
		t.Errorf("the load was over before %q", faults.steps[0].name)
	}
}

// load loads all VIPs at once while the faults strike, and returns the results.
func (f *fleet) load(urls map[string]string, faults *faults) map[string]*load.Result {
	f.Helper()
	results := map[string]*load.Result{}
	progress := make(map[string]float64)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for kind, url := range urls {
		wg.Go(func() {
			cfg := load.Config{URL: url, Users: users, Requests: requests, Rate: rate, Concurrency: 100, Timeout: 10 * time.Second, AllowErrors: -1, UserPrefix: kind}
			r, err := load.Run(f.Context(), cfg, func(s load.Snapshot) {
				mu.Lock()
				defer mu.Unlock()
				progress[kind] = float64(s.Done) / float64(s.Planned)
				least, most := 1.0, 0.0
				for k := range urls {
					least, most = min(least, progress[k]), max(most, progress[k])
				}
				faults.strike(least, most)
			})
			if err != nil {
				f.Errorf("%s: %v", kind, err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			results[kind] = r
		})
	}
	wg.Wait()
	return results
}

// fault is something that breaks when the load that is ahead is done to a share.
type fault struct {
	at    float64
	name  string
	cause func() error
}

// faults is what is still to break, and when the rest broke.
type faults struct {
	*testing.T
	steps []fault
	broke []struct{ from, to time.Time }
}

// strike causes the next fault if the load that is ahead is so far: all of them are under way then, however slow the
// machine is for one of them.
func (f *faults) strike(least, most float64) {
	if len(f.steps) == 0 || most < f.steps[0].at {
		return
	}
	if least == 0 {
		f.Errorf("%s: one load is at %.0f %%, another has not begun", f.steps[0].name, 100*most)
	}
	from := time.Now()
	if err := f.steps[0].cause(); err != nil {
		f.Errorf("%s: %v", f.steps[0].name, err)
	}
	f.broke = append(f.broke, struct{ from, to time.Time }{from, time.Now()})
	f.Logf("killed %s at %.0f to %.0f %%", f.steps[0].name, 100*least, 100*most)
	f.steps = f.steps[1:]
}

// judge asserts what the load must have shown.
func (f *faults) judge(kind string, r *load.Result) {
	f.Helper()
	f.Logf("%s: %d acknowledged, %d errors %v, %.0f/s, latency p50 %v p99 %v max %v", kind, r.Acknowledged, r.ErrorsTotal, r.ErrorsByClass,
		r.Throughput, r.Latency.P50, r.Latency.P99, r.Latency.Max)
	for _, s := range r.Shares {
		f.Logf("  %+v", s)
	}
	if r.ViolationsTotal != 0 {
		f.Errorf("%s: %d violations %v, the first: %+v", kind, r.ViolationsTotal, r.ViolationsByKind, r.Violations[0])
	}
	if r.Attempts != users*requests || r.Acknowledged+r.ErrorsTotal != r.Attempts {
		f.Errorf("%s: %d attempts of %d, %d acknowledged, %d errors", kind, r.Attempts, users*requests, r.Acknowledged, r.ErrorsTotal)
	}
	if r.Sessions != users {
		f.Errorf("%s: %d of %d users have a session", kind, r.Sessions, users)
	}
	if int64(len(r.Errors)) != r.ErrorsTotal {
		f.Errorf("%s: %d errors, only %d of them known", kind, r.ErrorsTotal, len(r.Errors))
	}
	for _, e := range r.Errors {
		if !f.inFlight(r.Started.Add(time.Duration(e.Sent)), r.Started.Add(time.Duration(e.At))) {
			f.Errorf("%s: a request that was in flight at no kill failed: %+v", kind, e)
		}
	}
	var servers []string
	for _, s := range r.Shares {
		servers = append(servers, s.Server)
	}
	if got := strings.Join(servers, " "); got != kind+"1 "+kind+"2" {
		f.Errorf("%s: served by %s", kind, got)
	}
}

// inFlight tells whether a request that began and failed at these times was in flight while something was killed.
func (f *faults) inFlight(sent, failed time.Time) bool {
	for _, b := range f.broke {
		if sent.Before(b.to) && failed.After(b.from) {
			return true
		}
	}
	return false
}
