package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lvsession/lvsession/bench/rig/child"
	"github.com/lvsession/lvsession/bench/rig/need"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

var (
	virtualID = config.VirtualID{Protocol: config.TCP, Addr: netip.MustParseAddrPort("172.16.1.11:80")}
	realAddr  = netip.MustParseAddrPort("192.168.0.101:8080")
)

func virtual(a config.Alert) config.Virtual {
	return config.Virtual{ID: virtualID, ServiceName: "Läden", Comment: "call Ada", Alert: a, Reals: []config.Real{{Addr: realAddr, Weight: 5}}}
}

func change(kind service.EventKind, v config.Virtual) Change {
	return Change{Event: service.Event{Time: time.Now(), Kind: kind, Virtual: v.ID, Server: realAddr, Reason: "connect check: refused"}, Phase: Running, Service: v}
}

// run runs an Alerter for the time of the test.
func run(t *testing.T, o Options) *Alerter {
	a := New(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { a.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return a
}

// TestSubject: the words are ldirectord's.
func TestSubject(t *testing.T) {
	quiescent := virtual(config.Alert{})
	quiescent.Quiescent = true
	stopping := change(service.ServiceRemoved, virtual(config.Alert{}))
	stopping.Phase = Stopping
	tests := []struct {
		change Change
		want   string
	}{
		{change(service.ServerUp, virtual(config.Alert{})), "Added real server: 192.168.0.101:8080 (172.16.1.11:80) (Weight set to 5)"},
		{change(service.ServerUp, quiescent), "Restored real server: 192.168.0.101:8080 (172.16.1.11:80) (Weight set to 5)"},
		{change(service.ServerDown, virtual(config.Alert{})), "Deleted real server: 192.168.0.101:8080 (172.16.1.11:80)"},
		{change(service.ServerDown, quiescent), "Quiescent real server: 192.168.0.101:8080 (172.16.1.11:80) (Weight set to 0)"},
		{change(service.FallbackOn, quiescent), "Added fallback server: 192.168.0.101:8080 (172.16.1.11:80) (Weight set to 1)"},
		{change(service.FallbackOff, quiescent), "Deleted fallback server: 192.168.0.101:8080 (172.16.1.11:80)"},
		{change(service.ServerRemoved, quiescent), "Purged real server (start): 192.168.0.101:8080 (172.16.1.11:80)"},
		{stopping, "Purged virtual server (stop): 172.16.1.11:80"},
		{change(service.ServerAdded, quiescent), ""},
		{change(service.ServiceRemoved, quiescent), ""},
	}
	for _, tt := range tests {
		if got := subjectOf(tt.change); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.change.Kind, got, tt.want)
		}
	}
}

// exim is a mail server that puts every letter into a file of its own.
type exim struct {
	t    *testing.T
	dir  string
	conf string
	addr string
}

func startExim(t *testing.T) *exim {
	t.Helper()
	program := need.Program(t, "exim4", "exim4-daemon-light")
	if os.Getuid() != 0 {
		need.Skip(t, "exim becomes another user: the test must be root")
	}
	port, err := child.Port()
	if err != nil {
		t.Fatal(err)
	}
	e := &exim{t: t, dir: t.TempDir(), addr: fmt.Sprintf("127.0.0.1:%d", port)}
	os.Chmod(filepath.Dir(e.dir), 0o755)
	os.Chmod(e.dir, 0o755)
	owner, err := user.Lookup("Debian-exim")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(owner.Uid)
	gid, _ := strconv.Atoi(owner.Gid)
	for _, sub := range []string{"spool", "mail"} {
		if err := os.Mkdir(filepath.Join(e.dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(filepath.Join(e.dir, sub), uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	e.conf = filepath.Join(e.dir, "conf")
	text := strings.ReplaceAll(`primary_hostname = mx.example
spool_directory = {dir}/spool
log_file_path = {dir}/spool/log_%s
pid_file_path = {dir}/spool/pid
local_interfaces = 127.0.0.1
host_lookup =
keep_environment =
acl_smtp_rcpt = accept
qualify_domain = mx.example
begin routers
all:
  driver = accept
  transport = file
begin transports
file:
  driver = appendfile
  directory = {dir}/mail
  user = Debian-exim
  batch_max = 10
  envelope_to_add
  return_path_add
`, "{dir}", e.dir)
	if err := os.WriteFile(e.conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := child.Start(exec.Command(program, "-C", e.conf, "-bdf", "-oX", strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	e.await(func() bool {
		c, err := net.Dial("tcp", e.addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return e
}

func (e *exim) await(done func() bool) {
	e.t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			e.t.Fatalf("waited too long; the log: %s", child.Tail(filepath.Join(e.dir, "spool/log_main"), 20))
		}
	}
}

// letters waits for as many letters and returns them.
func (e *exim) letters(n int) (all []*mail.Message) {
	e.t.Helper()
	var files []string
	e.await(func() bool {
		files, _ = filepath.Glob(filepath.Join(e.dir, "mail/q*"))
		// Until its last word, the process that delivers may make the folder again that the test removes.
		log, _ := os.ReadFile(filepath.Join(e.dir, "spool/log_main"))
		return len(files) >= n && bytes.Count(log, []byte(" Completed\n")) >= n
	})
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			e.t.Fatal(err)
		}
		m, err := mail.ReadMessage(bytes.NewReader(b))
		if err != nil {
			e.t.Fatalf("%v in\n%s", err, b)
		}
		all = append(all, m)
	}
	return all
}

const allStatuses = "reloading,running,starting,stopping"

// TestMail: a real mail server gets the letter, over SMTP and by its sendmail.
func TestMail(t *testing.T) {
	e := startExim(t)
	sendmail := filepath.Join(e.dir, "sendmail")
	script := fmt.Sprintf("#!/bin/sh\nexec %s -C %s \"$@\"\n", need.Program(t, "exim4", "exim4-daemon-light"), e.conf)
	if err := os.WriteFile(sendmail, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	a := run(t, Options{Sendmail: sendmail, Timeout: patience})
	for i, host := range []string{e.addr, ""} {
		a.Tell(change(service.ServerDown, virtual(config.Alert{
			To: "ops@example.org, root@example.org", From: `"Director" <lvs@example.org>`, SMTP: host, Statuses: allStatuses})))
		for _, m := range e.letters(i + 1) {
			subject := m.Header.Get("Subject")
			if !strings.HasPrefix(subject, "=?utf-8?q?[L=C3=A4den]_Deleted_real_server:") && !strings.Contains(subject, "Deleted") {
				t.Errorf("subject is %q", subject)
			}
			if m.Header.Get("From") != `"Director" <lvs@example.org>` || i == 0 && m.Header.Get("Return-Path") != "<lvs@example.org>" ||
				m.Header.Get("To") != "ops@example.org, root@example.org" {
				t.Errorf("header is %v", m.Header)
			}
			body, _ := io.ReadAll(m.Body)
			for _, want := range []string{"Log-Message: Deleted real server: 192.168.0.101:8080", "Daemon-Status: running", "Reason: connect check: refused", "Comment: call Ada"} {
				if !strings.Contains(strings.ReplaceAll(string(body), "=\n", ""), want) {
					t.Errorf("body lacks %q: %s", want, body)
				}
			}
			for _, to := range []string{"ops@example.org", "root@example.org"} {
				if !strings.Contains(m.Header.Get("Envelope-To"), to) {
					t.Errorf("not delivered to %s: %v", to, m.Header)
				}
			}
		}
	}
}

// TestThrottle: which changes make a letter, by emailalertstatus, and how often a server that stays down makes another.
func TestThrottle(t *testing.T) {
	a := New(Options{})
	v := virtual(config.Alert{To: "ops", Statuses: "running,stopping", Every: time.Minute})
	send := func(kind service.EventKind, p Phase, known bool) int {
		c := change(kind, v)
		c.Phase, c.Known = p, known
		before := len(a.mails.waiting)
		a.Tell(c)
		return len(a.mails.waiting) - before
	}
	for _, tt := range []struct {
		phase Phase
		known bool
		want  int
	}{{Starting, false, 0}, {Running, false, 1}, {Reloading, false, 0}, {Stopping, false, 1}, {Running, true, 0}} {
		if got := send(service.ServerDown, tt.phase, tt.known); got != tt.want {
			t.Errorf("%s, known %v: %d letters, want %d", tt.phase, tt.known, got, tt.want)
		}
	}
	repeats := func(after time.Duration) int {
		before := len(a.mails.waiting)
		a.repeat(time.Now().Add(after))
		return len(a.mails.waiting) - before
	}
	if n := repeats(59 * time.Second); n != 0 {
		t.Errorf("%d letters before the time", n)
	}
	if n := repeats(61 * time.Second); n != 1 {
		t.Errorf("%d letters after a minute", n)
	}
	if n := repeats(62 * time.Second); n != 0 {
		t.Errorf("%d letters just after", n)
	}
	v.Alert.Every = 0 // once
	a.Configure(map[config.VirtualID]*config.Virtual{v.ID: &v})
	if n := repeats(time.Hour); n != 0 {
		t.Errorf("%d letters with emailalertfreq=0", n)
	}
	v.Alert.Every = time.Minute
	a.Configure(map[config.VirtualID]*config.Virtual{v.ID: &v})
	send(service.ServerUp, Running, false)
	if n := repeats(3 * time.Hour); n != 0 {
		t.Errorf("%d letters about a server that is up", n)
	}
	send(service.ServerDown, Running, false)
	a.Configure(map[config.VirtualID]*config.Virtual{})
	if n := repeats(6 * time.Hour); n != 0 {
		t.Errorf("%d letters about a server that is configured no more", n)
	}
}

// TestWebhook: each change comes, in order, and a failure is tried again.
func TestWebhook(t *testing.T) {
	posts := make(chan Post, 10)
	var calls atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 1 {
			http.Error(w, "not yet", http.StatusServiceUnavailable)
			return
		}
		var p Post
		if err := json.NewDecoder(r.Body).Decode(&p); err != nil || r.Method != http.MethodPost {
			t.Errorf("%s: %v", r.Method, err)
		}
		posts <- p
	}))
	defer s.Close()
	a := run(t, Options{})
	v := virtual(config.Alert{Webhook: s.URL})
	kinds := []service.EventKind{service.ServerDown, service.FallbackOn, service.ServerUp}
	for _, k := range kinds {
		a.Tell(change(k, v))
	}
	for _, k := range kinds {
		select {
		case p := <-posts:
			if p.Event != k || p.Virtual != "172.16.1.11:80" || p.Server != "192.168.0.101:8080" || p.Protocol != "tcp" ||
				p.Phase != Running || p.ServiceName != "Läden" || p.Reason != "connect check: refused" {
				t.Errorf("got %+v, want %s", p, k)
			}
		case <-time.After(patience):
			t.Fatalf("no %s", k)
		}
	}
}

// TestNeverBlocks: with a mail host and a webhook that hang, telling takes no time and no more than the queues' memory,
// and the end comes soon.
func TestNeverBlocks(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var log bytes.Buffer
	a := New(Options{Queue: 10, Timeout: time.Hour, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { a.Run(ctx); close(done) }()
	v := virtual(config.Alert{To: "ops", SMTP: l.Addr().String(), Statuses: allStatuses, Webhook: "http://" + l.Addr().String() + "/key-1"})
	start := time.Now()
	for range 1000 {
		a.Tell(change(service.ServerDown, v))
	}
	if took := time.Since(start); took > patience/10 {
		t.Errorf("telling took %v", took)
	}
	cancel()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("it does not end")
	}
	if text := log.String(); !strings.Contains(text, "too many messages wait") || strings.Contains(text, "key-1") {
		t.Errorf("the log is %s", text)
	}
}
