package lvsproxy

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/userspace"
)

// TestNotActedOn: the operator's page lists exactly the directives that a director on the userspace dataplane refuses, and
// those that it only warns of.
func TestNotActedOn(t *testing.T) {
	page, err := os.ReadFile("../docs/operator.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "### Not acted on yet\n")
	section, _, _ = strings.Cut(section, "\n### ")
	refused, warned, ok := strings.Cut(section, "**warning**")
	if !ok {
		t.Fatal("docs/operator.md does not say what is not acted on yet")
	}
	a := abilities(userspace.New(userspace.Options{}))
	check := func(what, text string, can map[string]bool) {
		var want, got []string
		for directive, can := range can {
			if !can {
				want = append(want, directive)
			}
		}
		for _, m := range regexp.MustCompile("`([a-z]+)[`=]").FindAllStringSubmatch(text, -1) {
			if _, ours := can[m[1]]; ours {
				got = append(got, m[1])
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if got = slices.Compact(got); !slices.Equal(got, want) {
			t.Errorf("docs/operator.md says that %v are %s; the director says %v", got, what, want)
		}
	}
	check("refused", refused, map[string]bool{
		"udp": slices.Contains(a.Protocols, config.UDP), "fwm": slices.Contains(a.Protocols, config.FWM),
		"gate": slices.Contains(a.Forwards, config.Gate), "ipip": slices.Contains(a.Forwards, config.IPIP),
		"ping": slices.Contains(a.CheckTypes, config.CheckPing), "external": slices.Contains(a.CheckTypes, config.CheckExternal),
		"persistent": a.Persistence, "schedflags": a.SchedFlags, "ops": a.OnePacket, "acceptproxy": a.ProxyIn, "sendproxy": a.ProxyOut,
		"slowstart": a.SlowStart, "maxconn": a.MaxConns, "queue": a.Queue, "servertimeout": a.ConnectTimeout, "idletimeout": a.IdleTimeout,
		"draintimeout": a.DrainTimeout, "fallbackcommand": a.FallbackCommand, "execute": a.Execute, "maintenancedir": a.Maintenance,
	})
	check("warned of", warned, map[string]bool{
		"cleanstop": a.KeepTable, "emailalert": a.Mail, "webhook": a.Webhook, "monitorfile": a.MonitorFile, "logfile": a.LogFile, "callback": a.Callback,
	})
}
