package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lvsession/lvsession/lvsproxy/check"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/ipvsadm"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

func addr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// fixed is a director that has a table and takes no edits; lvsadm's tests have a real one.
type fixed struct {
	Director
	table []service.Snapshot
	conns []service.Conn
	ready chan struct{}
}

func (f *fixed) Table() []service.Snapshot  { return f.table }
func (f *fixed) Ready() <-chan struct{}     { return f.ready }
func (f *fixed) Timeouts() service.Timeouts { return service.DefaultTimeouts }
func (f *fixed) Conns(yield func(service.Conn) bool) {
	for _, c := range f.conns {
		if !yield(c) {
			return
		}
	}
}
func (f *fixed) DeleteService(config.VirtualID) error { return service.ErrNoService }
func (f *fixed) Flush() error                         { return errors.New("not today") }
func (f *fixed) StartSync(service.SyncDaemon) error   { return service.ErrDaemonRuns }

var vip = config.VirtualID{Protocol: config.TCP, Addr: addr("172.16.1.11:80")}

func newFixed() *fixed {
	return &fixed{ready: make(chan struct{}), table: []service.Snapshot{
		{ID: vip, Scheduler: "wrr", Conns: 7, Servers: []service.ServerSnapshot{
			{Addr: addr("192.168.0.102:80"), Forward: config.Masq, Weight: 1, State: check.Up, ActiveConns: 12, InactConns: 3},
			{Addr: addr("192.168.0.103:80"), Forward: config.Masq, Weight: 0, State: check.Down, Reason: "refused"},
		}, Out: []service.ServerSnapshot{{Addr: addr("192.168.0.99:80"), Forward: config.Masq, State: check.Down}}},
		{ID: config.VirtualID{Protocol: config.FWM, FWMark: 3, IPv6: true}, Scheduler: "rr", Servers: []service.ServerSnapshot{
			{Addr: addr("[::1]:80"), Forward: config.Gate, Weight: 1, State: check.Up, Fallback: true},
		}},
	}}
}

// serve serves a director at a socket until the test ends.
func serve(t *testing.T, d Director) (*Client, *Record) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "admin.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	events := NewRecord()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- Serve(ctx, l, Handler(d, events)) }()
	client := NewClient(path)
	t.Cleanup(func() {
		events.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		client.Close()
		if _, err := client.Table(context.Background()); !errors.Is(err, ErrNoDirector) {
			t.Errorf("after the end: %v", err)
		}
	})
	return client, events
}

// TestClient: what a director says arrives as it is.
func TestClient(t *testing.T) {
	d := newFixed()
	d.conns = []service.Conn{{Protocol: config.TCP, State: "ESTABLISHED", Expires: time.Minute, Client: addr("10.0.0.1:1"), Virtual: vip.Addr, Server: addr("10.0.0.2:80")}}
	client, _ := serve(t, d)
	if info, err := os.Stat(client.path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("got %v, %v; want mode 0660", info.Mode(), err)
	}
	if _, err := Listen(client.path); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second director: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for range 3 {
		table, err := client.Table(ctx)
		if fmt.Sprint(table) != fmt.Sprint(d.table) || err != nil {
			t.Errorf("got  %+v, %v\nwant %+v", table, err, d.table)
		}
	}
	var conns []service.Conn
	err := client.Conns(ctx, func(c service.Conn) bool { conns = append(conns, c); return true })
	if err != nil || fmt.Sprint(conns) != fmt.Sprint(d.conns) {
		t.Errorf("connections: %v, %v", conns, err)
	}
	if got, err := client.Timeouts(ctx); err != nil || got != (ipvsadm.Timeouts{TCP: 900, TCPFin: 120, UDP: 300}) {
		t.Errorf("time-outs: %v, %v", got, err)
	}
	status, err := client.Status(ctx)
	if err != nil || status.Ready || len(status.Services) != 2 {
		t.Fatalf("status: %+v, %v", status, err)
	}
	if one, two := status.Services[0], status.Services[1]; one.Virtual != "tcp 172.16.1.11:80" || one.Up != 1 || one.Fallback ||
		len(one.Servers) != 3 || one.Servers[1].Reason != "refused" || one.Servers[2].Listed || two.Virtual != "fwm6 3" || !two.Fallback || two.Up != 0 {
		t.Errorf("status: %+v", status)
	}
}

// TestCommands: each command has its result, and a request that is none changes nothing.
func TestCommands(t *testing.T) {
	client, _ := serve(t, newFixed())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	results, err := client.Run(ctx, []ipvsadm.Command{
		{Verb: ipvsadm.DeleteService, Service: ipvsadm.Service{Protocol: ipvsadm.TCP, Addr: vip.Addr}},
		{Verb: ipvsadm.Flush},
		{Verb: ipvsadm.StartDaemon},
		{Verb: ipvsadm.AddService, Service: ipvsadm.Service{Protocol: ipvsadm.TCP, Addr: vip.Addr, Engine: "sip"}},
		{Verb: ipvsadm.EditService, Service: ipvsadm.Service{Protocol: ipvsadm.TCP, Addr: vip.Addr, Persistent: 1, Netmask: 0xff00ff00}},
	})
	want := []Result{
		{"ESRCH", "no such virtual service"}, {"", "not today"}, {"EEXIST", "a synchronisation daemon of this state runs already"},
		{"EEXIST", "virtual service already exists"}, {"", "not supported by this director: a netmask with holes"},
	}
	if err != nil || fmt.Sprint(results) != fmt.Sprint(want) {
		t.Errorf("got  %v, %v\nwant %v", results, err, want)
	}
	if got := results[0].Message(ipvsadm.DeleteService); got != "No such service" {
		t.Errorf("got %q", got)
	}
	if got := results[1].Message(ipvsadm.Flush); got != "not today" {
		t.Errorf("got %q", got)
	}
	many, _ := json.Marshal(make([]ipvsadm.Command, MaxCommands+1))
	for _, tt := range []struct {
		body string
		want int
	}{
		{"[]", http.StatusOK},
		{"", http.StatusBadRequest},
		{"[", http.StatusBadRequest},
		{"[] []", http.StatusBadRequest},
		{`[{"verb":"clear","colour":"red"}]`, http.StatusBadRequest},
		{`[{"verb":"list"}]`, http.StatusBadRequest},
		{`[{"verb":"add-service","service":{"addr":"nowhere"}}]`, http.StatusBadRequest},
		{string(many), http.StatusBadRequest},
		{"[" + strings.Repeat(" ", maxBody), http.StatusRequestEntityTooLarge},
	} {
		w := httptest.NewRecorder()
		Handler(newFixed(), NewRecord()).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/commands", strings.NewReader(tt.body)))
		if w.Code != tt.want {
			t.Errorf("%.60s: %d %s, want %d", tt.body, w.Code, w.Body, tt.want)
		}
	}
}

// TestEvents: a follower gets what is remembered, and then what comes; one that does not read is cut off.
func TestEvents(t *testing.T) {
	client, events := serve(t, newFixed())
	publish := func(reason string) {
		events.Event(service.Event{Time: time.Now(), Kind: service.ServerDown, Virtual: vip, Server: addr("192.168.0.103:80"), Reason: reason})
	}
	for i := range remembered + 1 {
		publish(fmt.Sprint(i))
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	n := 0
	err := client.Events(ctx, func(e Event) bool {
		n++
		if n == 1 && (e.Reason != "100" || e.Virtual != "tcp 172.16.1.11:80" || e.Server != "192.168.0.103:80") {
			t.Errorf("first: %+v", e)
		}
		if e.Reason == fmt.Sprint(remembered) {
			publish("new")
		}
		return e.Reason != "new"
	})
	if err != nil || n != remembered+1-remembered/10+1 {
		t.Errorf("%d events, %v", n, err)
	}
	_, next, stop := events.follow()
	defer stop()
	for range backlog + 1 {
		publish("too many")
	}
	got := 0
	for range next {
		got++
	}
	if got != backlog {
		t.Errorf("a slow follower got %d events", got)
	}
}

func TestMetricsAndHealth(t *testing.T) {
	d, events := newFixed(), NewRecord()
	server := httptest.NewServer(ReadOnly(d, events))
	defer server.Close()
	get := func(path string) (int, string) {
		t.Helper()
		answer, err := server.Client().Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, string(body)
	}
	if code, _ := get("/readyz"); code != http.StatusServiceUnavailable {
		t.Errorf("ready too soon: %d", code)
	}
	close(d.ready)
	for _, path := range []string{"/readyz", "/healthz", "/v1/status"} {
		if code, _ := get(path); code != http.StatusOK {
			t.Errorf("%s: %d", path, code)
		}
	}
	if code, _ := get("/v1/table"); code != http.StatusNotFound {
		t.Errorf("the table is served to anybody: %d", code)
	}
	events.Event(service.Event{Kind: service.ServerDown, Virtual: vip})
	events.Event(service.Event{Kind: service.ServerDown, Virtual: vip, Server: addr("192.168.0.103:80"), Time: time.Unix(1, 0).UTC()})
	events.Check(vip, addr("192.168.0.103:80"), check.Result{OK: true, Took: time.Second})
	events.Check(vip, addr("192.168.0.103:80"), check.Result{Reason: "refused", Took: 2 * time.Second, Streak: 1})
	events.Check(vip, addr("192.168.0.104:80"), check.Result{}) // gone meanwhile
	_, status := get("/v1/status")
	if want := `"listed":true,"since":"1970-01-01T`; !strings.Contains(status, want) || !strings.Contains(status, `"ok":false,"seconds":2,"reason":"refused","succeeded":1,"failed":1,"streak":1}`) {
		t.Errorf("status: %s", status)
	}
	_, text := get("/metrics")
	for _, line := range []string{
		`lvsproxy_ready 1`,
		`lvsproxy_events_total{kind="server down"} 2`,
		`lvsproxy_server_checks_total{result="failed",server="192.168.0.103:80",virtual="tcp 172.16.1.11:80"} 1`,
		`lvsproxy_server_check_seconds{server="192.168.0.103:80",virtual="tcp 172.16.1.11:80"} 2`,
		`lvsproxy_service_servers{virtual="tcp 172.16.1.11:80"} 2`,
		`lvsproxy_service_servers_up{virtual="tcp 172.16.1.11:80"} 1`,
		`lvsproxy_service_connections_total{virtual="tcp 172.16.1.11:80"} 7`,
		`lvsproxy_service_fallback{virtual="fwm6 3"} 1`,
		`lvsproxy_server_up{server="192.168.0.103:80",virtual="tcp 172.16.1.11:80"} 0`,
		`lvsproxy_server_connections_active{server="192.168.0.102:80",virtual="tcp 172.16.1.11:80"} 12`,
		`lvsproxy_server_weight{server="192.168.0.99:80",virtual="tcp 172.16.1.11:80"} 0`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
}

// TestBoundOnServers: a table of any size makes a bounded number of series.
func TestBoundOnServers(t *testing.T) {
	d := newFixed()
	for i := range maxServers + 5 {
		d.table[0].Servers = append(d.table[0].Servers, service.ServerSnapshot{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 80)})
	}
	w := httptest.NewRecorder()
	ReadOnly(d, NewRecord()).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	n := 0
	skipped := ""
	for lines := bufio.NewScanner(w.Body); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "lvsproxy_server_up{") {
			n++
		}
		if s, ok := strings.CutPrefix(lines.Text(), "lvsproxy_metrics_servers_skipped "); ok {
			skipped = s
		}
	}
	if n != maxServers || skipped != "9" {
		t.Errorf("%d servers, %s skipped", n, skipped)
	}
}

func TestListenReplacesOnlyWhatIsStale(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "stale.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close() // as after kill -9: the socket's file stays
	again, err := Listen(stale)
	if err != nil {
		t.Fatalf("stale socket: %v", err)
	}
	again.Close()

	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(file); err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Errorf("file: %v", err)
	}
	if _, err := Listen(filepath.Join(dir, "absent", "x.sock")); err == nil || !strings.Contains(err.Error(), syscall.ENOENT.Error()) {
		t.Errorf("absent folder: %v", err)
	}
}

// FuzzCommands: no request makes the server panic, and what it takes it understands the same when it is written again.
func FuzzCommands(f *testing.F) {
	f.Add(`[]`)
	f.Add(`[{"verb":"add-service","service":{"protocol":"tcp","addr":"172.16.1.11:80","scheduler":"wrr","netmask":4294967295}}]`)
	f.Add(`[{"verb":"add-server","service":{"fwmark":3,"ipv6":true},"server":{"addr":"[::1]:80","forward":"ipip","weight":1,"tunnel":{"type":"gue","port":1}}}]`)
	f.Add(`[{"verb":"set","timeouts":{"tcp":1,"tcpfin":-2,"udp":3}},{"verb":"zero"}]`)
	f.Fuzz(func(t *testing.T, body string) {
		commands, err := readCommands(strings.NewReader(body))
		if err != nil {
			return
		}
		again, err := json.Marshal(commands)
		if err != nil {
			t.Fatal(err)
		}
		twice, err := readCommands(strings.NewReader(string(again)))
		if err != nil || fmt.Sprint(twice) != fmt.Sprint(commands) {
			t.Fatalf("%s: %v, %v", again, twice, err)
		}
		for _, c := range commands {
			c.Service.ID()
			c.Service.IsAll()
			c.Service.Settings()
			c.Server.Settings()
		}
	})
}

// TestBoundOnConnections: beyond the bound a client waits until another one leaves.
func TestBoundOnConnections(t *testing.T) {
	client, _ := serve(t, newFixed())
	var conns []net.Conn
	for range maxConns {
		conn, err := net.Dial("unix", client.path)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	for _, conn := range conns { // once all are answered, all count
		fmt.Fprint(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := client.Table(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one more: %v", err)
	}
	conns[0].Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := client.Table(ctx); err != nil {
		t.Errorf("after one left: %v", err)
	}
}
