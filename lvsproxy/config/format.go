package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Format writes a Spec as an ldirectord.cf with nothing left to defaults. Parsing what [Parse] gave gives an equal Spec,
// except where a request or receive pattern of a real server holds a double quote: a real= line has no way to write
// that. The sender of mail is the whole file's in an ldirectord.cf: the first service's is written.
func Format(s Spec) string {
	var b strings.Builder
	set := setter(&b, "")
	set("checkinterval", "%d", seconds(s.CheckInterval))
	set("autoreload", "%s", yesNo(s.AutoReload))
	set("cleanstop", "%s", yesNo(s.CleanStop))
	set("fork", "yes")
	setQuoted(set, "logfile", s.LogFile)
	setQuoted(set, "callback", s.Callback)
	setQuoted(set, "maintenancedir", s.MaintenanceDir)
	for _, e := range s.Execute {
		setQuoted(set, "execute", e)
	}
	for _, v := range s.Virtuals {
		if v.Alert.From != "" {
			set("emailalertfrom", "%s", v.Alert.From)
			break
		}
	}
	for _, v := range s.Virtuals {
		b.WriteByte('\n')
		formatVirtual(&b, v)
	}
	return b.String()
}

// setFunc writes one directive.
type setFunc func(name, format string, args ...any)

func setter(b *strings.Builder, indent string) setFunc {
	return func(name, format string, args ...any) { fmt.Fprintf(b, indent+name+"="+format+"\n", args...) }
}

// setQuoted writes a value in quotes unless it is empty.
func setQuoted(set setFunc, name, value string) {
	if value != "" {
		set(name, `"%s"`, value)
	}
}

// setText writes a value that may stand in quotes. A # is safe only inside them, and inside those of the value.
func setText(set setFunc, name, value string) {
	if strings.Contains(value, "#") && strings.Contains(value, `"`) && value[0] != '"' {
		set(name, "%s", value)
		return
	}
	setQuoted(set, name, value)
}

func formatVirtual(b *strings.Builder, v Virtual) {
	six := ""
	if v.isIPv6() {
		six = "6"
	}
	if v.ID.Protocol == FWM {
		fmt.Fprintf(b, "virtual%s=%d\n", six, v.ID.FWMark)
	} else {
		fmt.Fprintf(b, "virtual%s=%s\n", six, v.ID.Addr)
	}
	set := setter(b, "    ")
	set("protocol", "%s", v.ID.Protocol)
	set("scheduler", "%s", v.Scheduler)
	if v.SchedFlags != "" {
		set("schedflags", "%s", v.SchedFlags)
	}
	if p := v.Persistence; p.Timeout != 0 {
		set("persistent", "%d", seconds(p.Timeout))
		set("netmask", "%s", p.Mask(v.isIPv6()))
	}
	if v.OnePacket {
		set("ops", "yes")
	}
	set("quiescent", "%s", yesNo(v.Quiescent))
	set("cleanstop", "%s", yesNo(v.CleanStop))
	formatCheck(set, v)
	formatAlert(set, v.Alert)
	if f := v.Fallback; !f.IsZero() {
		set("fallback"+six, "%s %s", f.Addr, f.Forward)
	}
	setText(set, "fallbackcommand", v.FallbackCommand)
	setText(set, "monitorfile", v.MonitorFile)
	if v.ServiceName != "" {
		set("servicename", "%s", v.ServiceName)
	}
	if v.Comment != "" {
		set("comment", "%s", v.Comment)
	}
	formatOwn(set, v)
	for _, r := range v.Reals {
		set("real"+six, "%s", r.line(v.ID.Protocol == FWM))
	}
}

func (v Virtual) isIPv6() bool { return v.ID.IPv6 || v.ID.Addr.Addr().Is6() }

// Mask writes the netmask as ldirectord.cf and ipvsadm do: a dotted quad, or the length of an IPv6 prefix.
func (p Persistence) Mask(ipv6 bool) string {
	if ipv6 {
		return strconv.Itoa(p.Netmask)
	}
	mask := uint32(0xffffffff) << (32 - p.Netmask)
	return netip.AddrFrom4([4]byte{byte(mask >> 24), byte(mask >> 16), byte(mask >> 8), byte(mask)}).String()
}

func formatCheck(set setFunc, v Virtual) {
	c := v.Check
	if c.Type == CheckCombined {
		set("checktype", "%d", c.Every)
	} else {
		set("checktype", "%s", c.Type)
	}
	if !v.impliedWithoutLogin() {
		set("service", "%s", c.Service)
	}
	set("httpmethod", "%s", c.Method)
	setQuoted(set, "virtualhost", c.VirtualHost)
	if c.Port != 0 {
		set("checkport", "%d", c.Port)
	}
	set("checkinterval", "%d", seconds(c.Interval))
	set("checktimeout", "%d", seconds(c.ConnectTimeout))
	set("negotiatetimeout", "%d", seconds(c.NegotiateTimeout))
	set("failurecount", "%d", c.FailureCount)
	set("checkcount", "%d", c.Count)
	setText(set, "checkcommand", c.Command)
	setQuoted(set, "login", c.Login)
	setQuoted(set, "passwd", c.Passwd)
	setQuoted(set, "database", c.Database)
	setQuoted(set, "secret", c.Secret)
}

// impliedWithoutLogin reports that naming the service would give it a login that it does not have: see defaultLogin.
func (v Virtual) impliedWithoutLogin() bool {
	c := v.Check
	return v.ID.Protocol != FWM && c.Service == serviceOfPort(v.ID.Addr.Port()) &&
		(c.Service == "ftp" && (c.Login == "" || c.Passwd == "") || c.Service == "sip" && c.Login == "")
}

func formatAlert(set setFunc, a Alert) {
	if a.To == "" {
		return
	}
	setText(set, "emailalert", a.To)
	set("emailalertfreq", "%d", seconds(a.Every))
	if a.Statuses == "" {
		a.Statuses = "none"
	}
	set("emailalertstatus", "%s", a.Statuses)
	if a.SMTP != "" {
		set("smtp", "%s", a.SMTP)
	}
}

func formatOwn(set setFunc, v Virtual) {
	number := func(name string, n int) {
		if n != 0 {
			set(name, "%d", n)
		}
	}
	duration := func(name string, d time.Duration) {
		switch {
		case d == 0:
		case d%time.Second == 0:
			set(name, "%d", seconds(d))
		default:
			set(name, "%s", d)
		}
	}
	o := v.Own
	if o.Dataplane != "" {
		set("dataplane", "%s", o.Dataplane)
	}
	number("risecount", v.Check.RiseCount)
	duration("slowstart", o.SlowStart)
	number("maxconn", o.MaxConns)
	number("queue", o.Queue)
	duration("queuetimeout", o.QueueTimeout)
	if o.ProxyIn {
		set("acceptproxy", "yes")
	}
	if o.ProxyOut != 0 {
		set("sendproxy", "v%d", o.ProxyOut)
	}
	duration("servertimeout", o.ConnectTimeout)
	duration("idletimeout", o.IdleTimeout)
	duration("draintimeout", o.DrainTimeout)
	setQuoted(set, "webhook", v.Alert.Webhook)
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
