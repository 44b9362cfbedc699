package config

import (
	"fmt"
	"strings"
	"time"
)

// Format writes a Spec as an ldirectord.cf with nothing left to defaults. Parsing it gives an equal Spec, except where a
// request or receive pattern holds a double quote: a real= line has no way to write that.
func Format(s Spec) string {
	var b strings.Builder
	fmt.Fprintf(&b, "checkinterval=%d\n", seconds(s.CheckInterval))
	fmt.Fprintf(&b, "autoreload=%s\n", yesNo(s.AutoReload))
	b.WriteString("fork=yes\n")
	for _, v := range s.Virtuals {
		b.WriteByte('\n')
		formatVirtual(&b, v)
	}
	return b.String()
}

func formatVirtual(b *strings.Builder, v Virtual) {
	six := ""
	if v.ID.IPv6 || v.ID.Addr.Addr().Is6() {
		six = "6"
	}
	if v.ID.Protocol == FWM {
		fmt.Fprintf(b, "virtual%s=%d\n", six, v.ID.FWMark)
	} else {
		fmt.Fprintf(b, "virtual%s=%s\n", six, v.ID.Addr)
	}
	set := func(name, format string, args ...any) { fmt.Fprintf(b, "    "+name+"="+format+"\n", args...) }
	set("protocol", "%s", v.ID.Protocol)
	set("scheduler", "%s", v.Scheduler)
	set("quiescent", "%s", yesNo(v.Quiescent))
	formatCheck(set, v.Check)
	if f := v.Fallback; !f.IsZero() {
		set("fallback"+six, "%s %s", f.Addr, f.Forward)
	}
	if v.ServiceName != "" {
		set("servicename", "%s", v.ServiceName)
	}
	if v.Comment != "" {
		set("comment", "%s", v.Comment)
	}
	for _, r := range v.Reals {
		set("real"+six, "%s", r)
	}
}

func formatCheck(set func(name, format string, args ...any), c Check) {
	if c.Type == CheckCombined {
		set("checktype", "%d", c.Every)
	} else {
		set("checktype", "%s", c.Type)
	}
	set("service", "%s", c.Service)
	set("httpmethod", "%s", c.Method)
	if c.VirtualHost != "" {
		set("virtualhost", `"%s"`, c.VirtualHost)
	}
	if c.Port != 0 {
		set("checkport", "%d", c.Port)
	}
	set("checkinterval", "%d", seconds(c.Interval))
	set("checktimeout", "%d", seconds(c.ConnectTimeout))
	set("negotiatetimeout", "%d", seconds(c.NegotiateTimeout))
	set("failurecount", "%d", c.FailureCount)
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
