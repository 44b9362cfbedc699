package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// report is what "lvsproxy check" has to say about a file; with --json it is printed as it is.
type report struct {
	File     string    `json:"file"`
	Good     bool      `json:"good"`
	Errors   []finding `json:"errors"`
	Warnings []finding `json:"warnings"`
	// Virtuals is empty if the file could not be read.
	Virtuals []explained `json:"virtuals"`
}

// finding is an error or a warning.
type finding struct {
	Line    int    `json:"line"`
	Message string `json:"message"`
}

// explained says in words what will be done for one virtual service.
type explained struct {
	Virtual string `json:"virtual"`
	Line    int    `json:"line"`
	Says    []fact `json:"says"`
	Reals   []fact `json:"reals"`
}

// fact is one thing that the director will do, and the line that says so; 0 for a default.
type fact struct {
	Topic string `json:"topic"`
	Text  string `json:"text"`
	Line  int    `json:"line"`
}

func findings(problems []config.Problem) []finding {
	all := make([]finding, len(problems)) // not nil: an empty list in JSON
	for i, p := range problems {
		all[i] = finding{p.Line, p.Message}
	}
	return all
}

// explainer collects the facts about one virtual service.
type explainer struct {
	file  *config.File
	index int
	rise  int // of the command line
	facts []fact
	// carriers says which dataplane is to carry a service; it may be nil.
	carriers service.Chooser
}

// say adds a fact whose source is the first of the directives that the file gives.
func (e *explainer) say(topic, directive, format string, args ...any) {
	e.facts = append(e.facts, fact{topic, fmt.Sprintf(format, args...), e.file.Source(e.index, directive)})
}

// explainFile explains every virtual service. rise is how many successes bring a server back where the file says nothing.
// Which dataplane auto takes depends on this machine and on who asks.
func explainFile(file *config.File, rise int, dataplane service.Dataplane) []explained {
	carriers, _ := dataplane.(service.Chooser)
	all := make([]explained, len(file.Spec.Virtuals))
	for i, v := range file.Spec.Virtuals {
		e := &explainer{file: file, index: i, rise: rise, carriers: carriers}
		e.table(v)
		e.check(v)
		e.failure(v)
		e.alerts(v)
		e.dataplane(v)
		e.own(v.Own)
		all[i] = explained{Virtual: serviceName(v.ID), Line: file.Source(i, "virtual"), Says: e.facts, Reals: e.reals(v)}
	}
	return all
}

// serviceName names a service as ipvsadm -L -n does.
func serviceName(id config.VirtualID) string {
	switch {
	case id.Protocol == config.FWM && id.IPv6:
		return fmt.Sprintf("FWM %d IPv6", id.FWMark)
	case id.Protocol == config.FWM:
		return fmt.Sprintf("FWM %d", id.FWMark)
	}
	return strings.ToUpper(string(id.Protocol)) + " " + id.Addr.String()
}

func (e *explainer) table(v config.Virtual) {
	e.say("scheduler", "scheduler", "%s", v.Scheduler)
	if v.SchedFlags != "" {
		e.say("flags", "schedflags", "%s", v.SchedFlags)
	}
	if p := v.Persistence; p.Timeout != 0 {
		e.say("persistence", "persistent", "a client that comes back within %s of its last connection gets the same server", p.Timeout)
		e.say("clients", "netmask", "addresses that share their first %d bits are one client", p.Netmask)
	}
	if v.OnePacket {
		e.say("one packet", "ops", "each datagram is scheduled for itself")
	}
}

func (e *explainer) check(v config.Virtual) {
	c := v.Check
	negotiate := fmt.Sprintf("a %s exchange must succeed", c.Service)
	switch c.Service {
	case "http", "https", "http_proxy":
		negotiate = fmt.Sprintf("%s by %s of the server's request must succeed, with an answer that matches if one is given", c.Method, c.Service)
	case "none":
		negotiate = "none, because service is none: servers always count as alive"
	}
	connect := "a connection must open"
	if v.ID.Protocol == config.UDP {
		connect = "a ping must be answered, because the service is UDP"
	}
	text := map[config.CheckType]string{
		config.CheckNegotiate: negotiate, config.CheckConnect: connect, config.CheckPing: "a ping must be answered",
		config.CheckCombined: fmt.Sprintf("a connection must open %d times, and then %s", c.Every, negotiate),
		config.CheckOn:       "none: servers always count as alive", config.CheckOff: "none: servers always count as dead",
		config.CheckExternal:     fmt.Sprintf("program %s must exit with 0", c.Command),
		config.CheckExternalPerl: fmt.Sprintf("Perl program %s must exit with 0", c.Command),
	}[c.Type]
	e.say("check", "checktype", "%s", text)
	if c.Type == config.CheckOn || c.Type == config.CheckOff {
		return
	}
	if c.Type == config.CheckNegotiate || c.Type == config.CheckCombined {
		e.say("service", "service", "%s", c.Service)
		if c.Service == "none" && c.Type == config.CheckNegotiate {
			return
		}
		e.say("time-out", "negotiatetimeout", "%s for the whole exchange", c.NegotiateTimeout)
	}
	if c.Type != config.CheckNegotiate {
		e.say("time-out", "checktimeout", "%s for a %s check", c.ConnectTimeout, cmp.Or(map[config.CheckType]string{config.CheckCombined: "connect"}[c.Type], string(c.Type)))
	}
	e.say("interval", "checkinterval", "%s between two checks", c.Interval)
	if c.Port != 0 {
		e.say("port", "checkport", "%d is checked, on every server", c.Port)
	}
	if c.VirtualHost != "" {
		e.say("host", "virtualhost", "%s", c.VirtualHost)
	}
}

func (e *explainer) failure(v config.Virtual) {
	c := v.Check
	fate := "leaves the table"
	if v.Quiescent {
		fate = "stays in the table with weight 0"
	}
	e.say("down", "failurecount", "after %s in a row", times(c.FailureCount, "failure"))
	e.say("up", "risecount", "after %s in a row", times(cmp.Or(c.RiseCount, e.rise), "success"))
	e.say("a failed server", "quiescent", "%s", fate)
	if f := v.Fallback; f.IsZero() {
		e.say("no server left", "fallback", "clients are turned away")
	} else {
		e.say("no server left", "fallback", "%s by %s", f.Addr, f.Forward)
	}
	if v.FallbackCommand != "" {
		e.say("then also", "fallbackcommand", "%s is run", v.FallbackCommand)
	}
	if !v.CleanStop {
		e.say("at the end", "cleanstop", "the table stays")
	}
}

func times(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %s", n, strings.NewReplacer("failure", "failures", "success", "successes").Replace(what))
}

func (e *explainer) alerts(v config.Virtual) {
	a := v.Alert
	if a.To != "" {
		e.say("mail", "emailalert", "to %s", a.To)
		e.say("mail when", "emailalertstatus", "%s", cmp.Or(a.Statuses, "never"))
		if a.Every != 0 {
			e.say("mail again", "emailalertfreq", "after %s", a.Every)
		}
	}
	if a.Webhook != "" {
		e.say("webhook", "webhook", "%s", a.Webhook)
	}
	if v.MonitorFile != "" {
		e.say("results", "monitorfile", "are appended to %s", v.MonitorFile)
	}
}

func (e *explainer) dataplane(v config.Virtual) {
	if e.carriers == nil {
		e.say("dataplane", "dataplane", "none")
		return
	}
	c := e.carriers.Choose(v)
	e.say("dataplane", "dataplane", "%s: %s", c.Name, c.Why)
}

func (e *explainer) own(o config.Own) {
	duration := func(topic, directive string, d time.Duration, text string) {
		if d != 0 {
			e.say(topic, directive, "%s %s", d, text)
		}
	}
	duration("slow start", "slowstart", o.SlowStart, "until a server that came up has its full weight")
	if o.MaxConns != 0 {
		e.say("connections", "maxconn", "at most %d; further ones wait", o.MaxConns)
	}
	if o.Queue != 0 {
		e.say("queue", "queue", "at most %d connections wait for a server", o.Queue)
		duration("queue", "queuetimeout", o.QueueTimeout, "at most")
	}
	if o.ProxyIn {
		e.say("clients", "acceptproxy", "begin with a PROXY protocol header")
	}
	if o.ProxyOut != 0 {
		e.say("servers", "sendproxy", "get a PROXY protocol header of version %d", o.ProxyOut)
	}
	duration("connect", "servertimeout", o.ConnectTimeout, "to reach one server")
	duration("idle", "idletimeout", o.IdleTimeout, "without traffic end a connection")
	duration("drain", "draintimeout", o.DrainTimeout, "for the connections of a server that goes")
}

// reals lists real servers, those of one line together.
func (e *explainer) reals(v config.Virtual) []fact {
	all := []fact{}
	for i := 0; i < len(v.Reals); {
		line, last := e.file.RealSource(e.index, i), i
		for last+1 < len(v.Reals) && e.file.RealSource(e.index, last+1) == line {
			last++
		}
		r := v.Reals[i]
		text := fmt.Sprintf("%s, weight %d", r.Forward, r.Weight)
		if c := v.Check; c.Type == config.CheckNegotiate || c.Type == config.CheckCombined {
			text += fmt.Sprintf(", request %q", r.Request)
			if r.Receive != "" {
				text += fmt.Sprintf(", answer %q", r.Receive)
			}
		}
		if r.Upper != 0 || r.Lower != 0 {
			text += fmt.Sprintf(", full from %d connections to %d", r.Upper, r.Lower)
		}
		if r.CheckPort != 0 {
			text += fmt.Sprintf(", checked on port %d", r.CheckPort)
		}
		topic := r.Addr.String()
		if last > i {
			topic = fmt.Sprintf("%s->%s", r.Addr.Addr(), v.Reals[last].Addr)
		}
		all = append(all, fact{topic, text, line})
		i = last + 1
	}
	return all
}

// print writes a report for people.
func (r report) print(w io.Writer) {
	for _, v := range r.Virtuals {
		fmt.Fprintf(w, "%s (line %d)\n", v.Virtual, v.Line)
		for _, f := range v.Says {
			fmt.Fprintf(w, "  %-16s %s (%s)\n", f.Topic, f.Text, source(f.Line))
		}
		for _, f := range v.Reals {
			fmt.Fprintf(w, "  -> %s %s (%s)\n", f.Topic, f.Text, source(f.Line))
		}
		fmt.Fprintln(w)
	}
	for _, f := range r.Warnings {
		fmt.Fprintf(w, "warning: %s:%d: %s\n", r.File, f.Line, f.Message)
	}
	for _, f := range r.Errors {
		fmt.Fprintf(w, "error: %s:%d: %s\n", r.File, f.Line, f.Message)
	}
}

func source(line int) string {
	if line == 0 {
		return "default"
	}
	return fmt.Sprintf("line %d", line)
}
