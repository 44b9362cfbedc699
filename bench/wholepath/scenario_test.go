package wholepath

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/load"
)

// TestScenarioWithFaults is an engineer's proof, as vipbench makes it: users who log in and out come through the director at a rate
// that grows, while a real server is killed, the director reloads its configuration, and sessiond stands still. Nothing is lost, and
// the load recovers each time.
func TestScenarioWithFaults(t *testing.T) {
	f := &fleet{T: t, dir: t.TempDir()}
	f.build("sessiond", "lvsproxy")
	addr := f.addr()
	sessiond := f.run("sessiond", nil, filepath.Join(f.dir, "sessiond"), "--store", "embedded", "--data", filepath.Join(f.dir, "data"), "--http", addr)
	f.await("http://"+addr+"/readyz", sessiond)
	f.endpoints = append(f.endpoints, "http://"+addr)

	var reals []string
	first, real1 := f.goServer("go1")
	reals = append(reals, real1)
	for _, name := range []string{"go2", "go3"} {
		_, addr := f.goServer(name)
		reals = append(reals, addr)
	}
	vip := f.addr()
	director := f.director(fmt.Sprintf(`
checktimeout=2
checkinterval=1
quiescent=no
virtual=%s
	real=%s masq
	real=%s masq
	real=%s masq
	service=http
	request="lvscheck.html"
	receive="C.*"
	scheduler=rr
	protocol=tcp
	checktype=negotiate
`, vip, reals[0], reals[1], reals[2]), vip)

	c, err := load.ReadScenario(strings.NewReader(fmt.Sprintf(`
name          a sale with faults
url           http://%s/
users         100
phase         warm   3s   40-80
phase         sale  11s   80
arrival       poisson
visits        ~20
abandon       50%%
payload       90%%100-2k,10%%~8k
mix           visit=60,read=35,login=5
timeout       5s
allow-errors  -1
at            3s        kill    %d
at            7s        reload  %d
at            9s+700ms  stop    %d
`, vip, first.PID(), director.PID(), sessiond.PID())))
	if err != nil {
		t.Fatal(err)
	}
	r, err := load.Run(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Proven || r.ViolationsTotal != 0 || r.Acknowledged < 500 || r.Sessions < 100 {
		t.Errorf("%s: %d acknowledged, %d sessions, %.3v", r.Reason, r.Acknowledged, r.Sessions, r.Violations)
	}
	kill, reload, stop := r.Faults[0], r.Faults[1], r.Faults[2]
	for _, fault := range r.Faults {
		t.Logf("%s: %d errors, disturbed %v, recovered %v after %v %s", fault.Name, fault.Errors, fault.Disturbed, fault.Recovered, fault.Recovery, fault.Error)
		if fault.Error != "" || !fault.Recovered {
			t.Errorf("%+v", fault)
		}
	}
	if time.Duration(kill.Recovery) > 3500*time.Millisecond { // an interval of checks, and what they take
		t.Errorf("the director took %v to find a dead server", kill.Recovery)
	}
	if reload.Errors != 0 {
		t.Errorf("the reload cost %d requests", reload.Errors)
	}
	if stop.Errors != 0 || !stop.Disturbed || time.Duration(stop.Recovery) < 500*time.Millisecond {
		t.Errorf("sessiond stood still for 700 ms: %+v", stop)
	}
	if r.ErrorsTotal != kill.Errors {
		t.Errorf("%d requests failed, %d of them by the kill: %v", r.ErrorsTotal, kill.Errors, r.ErrorsByClass)
	}
}
