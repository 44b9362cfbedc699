package config

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lvsession/lvsession/bench/rig/need"
)

// ldirectord is the real program at work on files: see testdata/ldirectord.pl.
type ldirectord struct {
	t     testing.TB
	cmd   *exec.Cmd
	input *os.File
	lines *bufio.Reader
	path  string // of the file that it reads next
}

func startLdirectord(t testing.TB) *ldirectord {
	t.Helper()
	program := need.Program(t, "ldirectord", "ldirectord")
	perl := need.Program(t, "perl", "perl")
	dir := t.TempDir()
	good := filepath.Join(dir, "good.cf")
	if err := os.WriteFile(good, []byte("virtual=10.0.0.1:80\n\tscheduler=rr\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	l := &ldirectord{t: t, input: w, path: filepath.Join(dir, "ldirectord.cf")}
	l.cmd = exec.Command(perl, "testdata/ldirectord.pl", program, good)
	l.cmd.Stdin = r
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.Close()
	t.Cleanup(func() {
		w.Close() // it ends at the end of its input
		l.cmd.Wait()
	})
	l.lines = bufio.NewReader(out)
	return l
}

// read returns what ldirectord makes of a file, as JSON with sorted keys, or why it refuses it.
func (l *ldirectord) read(text string) (values, refused string) {
	l.t.Helper()
	if err := os.WriteFile(l.path, []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
	if _, err := fmt.Fprintln(l.input, l.path); err != nil {
		l.t.Fatalf("ldirectord has ended: %v", err)
	}
	line, err := l.lines.ReadBytes('\n')
	if err != nil {
		l.t.Fatalf("ldirectord says nothing about\n%s\n%v", text, err)
	}
	var answer map[string]any
	if err := json.Unmarshal(line, &answer); err != nil {
		l.t.Fatalf("%v in %s", err, line)
	}
	if why, ok := answer["refused"].(string); ok {
		return "", strings.TrimSpace(why)
	}
	return pretty(l.t, answer), ""
}

func pretty(t testing.TB, v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

type object = map[string]any

// inItsWords says what a Spec means in the words of testdata/ldirectord.pl.
func inItsWords(s Spec) object {
	execute := slices.Clone(s.Execute)
	slices.Sort(execute)
	virtuals := make([]object, len(s.Virtuals))
	for i, v := range s.Virtuals {
		virtuals[i] = virtualInItsWords(v)
	}
	return object{
		"autoreload": yesNo(s.AutoReload), "interval": seconds(s.CheckInterval), "callback": s.Callback, "cleanstop": yesNo(s.CleanStop),
		"maintenance": s.MaintenanceDir, "logfile": s.LogFile, "execute": append([]string{}, execute...), "virtuals": virtuals,
	}
}

func virtualInItsWords(v Virtual) object {
	c := v.Check
	mail := object{}
	if a := v.Alert; a.To != "" {
		mail = object{"to": a.To, "from": a.From, "smtp": a.SMTP, "every": seconds(a.Every), "status": a.Statuses}
	}
	id, netmask, fallback := string(v.ID.Protocol)+":"+v.ID.Addr.String(), "", ""
	switch {
	case v.ID.Protocol == FWM && v.ID.IPv6:
		id = fmt.Sprintf("fwm6:%d", v.ID.FWMark)
	case v.ID.Protocol == FWM:
		id = fmt.Sprintf("fwm:%d", v.ID.FWMark)
	}
	if v.Persistence.Timeout != 0 {
		netmask = v.Persistence.Mask(v.isIPv6())
	}
	if f := v.Fallback; !f.IsZero() {
		fallback = fmt.Sprintf("%s %s", f.Addr, f.Forward)
	}
	reals := make([]object, len(v.Reals))
	for i, r := range v.Reals {
		port := r.Addr.Port()
		if r.CheckPort != 0 {
			port = r.CheckPort
		}
		if c.Port != 0 {
			port = c.Port
		}
		reals[i] = object{"address": r.Addr.String(), "forward": r.Forward, "weight": r.Weight, "request": r.Request, "receive": r.Receive,
			"check": port, "lower": r.Lower, "upper": r.Upper}
	}
	return object{
		"id": id, "scheduler": v.Scheduler, "flags": v.SchedFlags, "persistent": seconds(v.Persistence.Timeout), "netmask": netmask,
		"ops": yesNo(v.OnePacket), "quiescent": yesNo(v.Quiescent), "cleanstop": yesNo(v.CleanStop), "fallback": fallback,
		"fallbackcommand": v.FallbackCommand, "monitorfile": v.MonitorFile, "servicename": v.ServiceName, "comment": v.Comment, "mail": mail,
		"check": object{
			"type": c.Type, "every": c.Every, "service": c.Service, "method": c.Method, "host": c.VirtualHost, "interval": seconds(c.Interval),
			"connect": seconds(c.ConnectTimeout), "negotiate": seconds(c.NegotiateTimeout), "count": c.Count, "failures": c.FailureCount,
			"command": c.Command, "login": c.Login, "passwd": c.Passwd, "database": c.Database, "secret": c.Secret,
		},
		"reals": reals,
	}
}

// localNames resolves localhost and the names of services, and asks no name server.
type localNames struct{ SystemResolver }

func (localNames) Addr(host string, ipv6 bool) (netip.Addr, error) {
	switch {
	case host != "localhost":
		return netip.Addr{}, errUnknown
	case ipv6:
		return netip.IPv6Loopback(), nil
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
}

// likeIt compares how a file is read; an empty string means alike.
func (l *ldirectord) likeIt(text string) string {
	values, refused := l.read(text)
	f, err := Parse("t.cf", []byte(text), localNames{})
	switch {
	case refused != "" && err != nil:
		return ""
	case refused != "":
		return fmt.Sprintf("ldirectord refuses it: %s; we do not", refused)
	case err != nil:
		return fmt.Sprintf("ldirectord takes it; we refuse it: %v", err)
	}
	if ours := pretty(l.t, inItsWords(f.Spec)); ours != values {
		return firstDifference(ours, values)
	}
	return ""
}

func firstDifference(ours, theirs string) string {
	a, b := strings.Split(ours, "\n"), strings.Split(theirs, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("we read %s, ldirectord %s", strings.TrimSpace(a[i]), strings.TrimSpace(b[i]))
		}
	}
	return fmt.Sprintf("we read\n%s\nldirectord\n%s", ours, theirs)
}

// TestLikeLdirectord holds our reading of the corpus against the real program's.
func TestLikeLdirectord(t *testing.T) {
	l := startLdirectord(t)
	dir := t.TempDir()
	for _, c := range corpus {
		t.Run(c.name, func(t *testing.T) {
			text := strings.ReplaceAll(c.text, "TMP", dir)
			difference := l.likeIt(text)
			switch {
			case c.differs == "" && difference != "":
				t.Errorf("%s\nin\n%s", difference, text)
			case c.differs != "" && difference == "":
				t.Errorf("read alike, though it says that %s:\n%s", c.differs, text)
			}
		})
	}
}
