package admin

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/lvsession/lvsession/lvsproxy/check"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// maxServers bounds how many servers have metrics of their own: some twenty series each.
const maxServers = 10000

// metrics serves a director's figures in Prometheus's text format. They are listed in docs/operator.md.
func metrics(d Director, rec *Record) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(newCollector(d, rec), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

// collector reads a director's table when it is asked for.
type collector struct {
	director Director
	record   *Record

	ready, eventsTotal, skipped *prometheus.Desc
	dropped                     *prometheus.Desc
	checks, checkSeconds        *prometheus.Desc
	services, servers           []figure
}

// figure is a metric of a service, for which the server is nil, or of a server.
type figure struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(v *service.Snapshot, r *service.ServerSnapshot) float64
}

func newCollector(d Director, rec *Record) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("lvsproxy_"+name, help, labels, nil)
	}
	c := &collector{
		director: d, record: rec,
		ready:        desc("ready", "1 once every virtual service is open and every real server has been checked, else 0."),
		eventsTotal:  desc("events_total", "Changes of the table, by kind.", "kind"),
		checks:       desc("server_checks_total", "Health checks, by result: ok or failed.", "virtual", "server", "result"),
		checkSeconds: desc("server_check_seconds", "How long the last health check took.", "virtual", "server"),
		dropped:      desc("dropped_packets_total", "Packets that a dataplane in the kernel has dropped, by reason.", "reason"),
		skipped:      desc("metrics_servers_skipped", "Servers that have no metrics of their own because there are too many."),
	}
	serviceFigure := func(kind prometheus.ValueType, name, help string, value func(v *service.Snapshot) float64) {
		c.services = append(c.services, figure{desc("service_"+name, help, "virtual"), kind,
			func(v *service.Snapshot, _ *service.ServerSnapshot) float64 { return value(v) }})
	}
	serverFigure := func(kind prometheus.ValueType, name, help string, value func(r *service.ServerSnapshot) float64) {
		c.servers = append(c.servers, figure{desc("server_"+name, help, "virtual", "server"), kind,
			func(_ *service.Snapshot, r *service.ServerSnapshot) float64 { return value(r) }})
	}
	const counter, gauge = prometheus.CounterValue, prometheus.GaugeValue

	serviceFigure(gauge, "servers", "Servers in the table.", func(v *service.Snapshot) float64 { return float64(len(v.Servers)) })
	serviceFigure(gauge, "servers_up", "Real servers that may get new connections.", func(v *service.Snapshot) float64 { return float64(usable(v)) })
	serviceFigure(gauge, "fallback", "1 while the fallback server stands in, else 0.", func(v *service.Snapshot) float64 { return truth(standsIn(v)) })
	serviceFigure(counter, "connections_total", "Connections established.", func(v *service.Snapshot) float64 { return float64(v.Conns) })
	for _, t := range trafficFigures {
		serviceFigure(counter, t.name, t.help, func(v *service.Snapshot) float64 { return float64(t.value(v.Traffic)) })
	}

	serverFigure(gauge, "up", "1 if the server's checks succeed, 0 if not; a server without checks is up.", func(r *service.ServerSnapshot) float64 { return truth(r.State == check.Up) })
	serverFigure(gauge, "weight", "Weight in effect; 0 outside the table.", func(r *service.ServerSnapshot) float64 { return float64(r.Weight) })
	serverFigure(gauge, "connections_active", "Connections that are established.", func(r *service.ServerSnapshot) float64 { return float64(r.ActiveConns) })
	serverFigure(gauge, "connections_inactive", "Connections that are being opened or closed.", func(r *service.ServerSnapshot) float64 { return float64(r.InactConns) })
	serverFigure(gauge, "connections_persistent", "Clients that persistence remembers.", func(r *service.ServerSnapshot) float64 { return float64(r.PersistConns) })
	serverFigure(counter, "connections_total", "Connections established.", func(r *service.ServerSnapshot) float64 { return float64(r.Conns) })
	serverFigure(counter, "connect_errors_total", "Connections that could not be established.", func(r *service.ServerSnapshot) float64 { return float64(r.ConnectErrors) })
	for _, t := range trafficFigures {
		serverFigure(counter, t.name, t.help, func(r *service.ServerSnapshot) float64 { return float64(t.value(r.Traffic)) })
	}
	return c
}

var trafficFigures = []struct {
	name, help string
	value      func(service.Traffic) uint64
}{
	{"in_packets_total", "Packets from clients.", func(t service.Traffic) uint64 { return t.InPackets }},
	{"out_packets_total", "Packets to clients.", func(t service.Traffic) uint64 { return t.OutPackets }},
	{"in_bytes_total", "Bytes from clients.", func(t service.Traffic) uint64 { return t.InBytes }},
	{"out_bytes_total", "Bytes to clients.", func(t service.Traffic) uint64 { return t.OutBytes }},
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.ready, c.eventsTotal, c.dropped, c.skipped, c.checks, c.checkSeconds} {
		out <- d
	}
	for _, f := range append(append([]figure{}, c.services...), c.servers...) {
		out <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	out <- prometheus.MustNewConstMetric(c.ready, prometheus.GaugeValue, truth(isReady(c.director)))
	for kind, n := range c.record.count() {
		out <- prometheus.MustNewConstMetric(c.eventsTotal, prometheus.CounterValue, float64(n), string(kind))
	}
	if dropper, ok := c.director.(service.Dropper); ok {
		for reason, n := range dropper.Drops() {
			out <- prometheus.MustNewConstMetric(c.dropped, prometheus.CounterValue, float64(n), reason)
		}
	}
	skipped, servers := 0, 0
	table := c.director.Table()
	known := c.record.known(table)
	for _, v := range table {
		name := v.ID.Name()
		for _, f := range c.services {
			out <- prometheus.MustNewConstMetric(f.desc, f.kind, f.value(&v, nil), name)
		}
		for _, r := range append(v.Servers, v.Out...) {
			if servers == maxServers {
				skipped++
				continue
			}
			servers++
			for _, f := range c.servers {
				out <- prometheus.MustNewConstMetric(f.desc, f.kind, f.value(&v, &r), name, r.Addr.String())
			}
			if check := known[serverKey{v.ID, r.Addr}].check; check != nil {
				c.collectCheck(out, check, name, r.Addr.String())
			}
		}
	}
	out <- prometheus.MustNewConstMetric(c.skipped, prometheus.GaugeValue, float64(skipped))
}

func (c *collector) collectCheck(out chan<- prometheus.Metric, s *CheckStatus, virtual, server string) {
	out <- prometheus.MustNewConstMetric(c.checks, prometheus.CounterValue, float64(s.Succeeded), virtual, server, "ok")
	out <- prometheus.MustNewConstMetric(c.checks, prometheus.CounterValue, float64(s.Failed), virtual, server, "failed")
	out <- prometheus.MustNewConstMetric(c.checkSeconds, prometheus.GaugeValue, s.Seconds, virtual, server)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
