package httpapi

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"

	"github.com/lvsession/lvsession/sessionstore"
)

// metrics is what /metrics tells, in Prometheus's text format. Names and labels are listed in docs/operations.md.
type metrics struct {
	serve    fasthttp.RequestHandler
	inFlight prometheus.Gauge
	seconds  *prometheus.HistogramVec
}

// latencies bound the histogram's buckets, in seconds: from a read in memory to a wait for a lock.
var latencies = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

func newMetrics(svc *sessionstore.Service, more []prometheus.Collector) *metrics {
	m := &metrics{
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sessiond_requests_in_flight", Help: "Requests being served, those that wait for a lock included.",
		}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sessiond_request_seconds", Help: "Time to serve a request, by operation and status code.", Buckets: latencies,
		}, []string{"operation", "code"}),
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(m.inFlight, m.seconds, newServiceCollector(svc),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	registry.MustRegister(more...)
	m.serve = fasthttpadaptor.NewFastHTTPHandler(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return m
}

func (m *metrics) begin() { m.inFlight.Inc() }

func (m *metrics) end(operation string, code int, took time.Duration) {
	m.inFlight.Dec()
	m.seconds.WithLabelValues(operation, strconv.Itoa(code)).Observe(took.Seconds())
}

// serviceCollector reads a service's own figures when they are asked for.
type serviceCollector struct {
	svc                                       *sessionstore.Service
	waiting, held, runs, failed, removed, age *prometheus.Desc
	behind, due, oldest                       *prometheus.Desc
}

func newServiceCollector(svc *sessionstore.Service) *serviceCollector {
	desc := func(name, help string) *prometheus.Desc { return prometheus.NewDesc("sessiond_"+name, help, nil, nil) }
	return &serviceCollector{
		svc:     svc,
		waiting: desc("lock_waiters", "Requests that wait for a session's lock."),
		held:    desc("locks_held", "Locks taken through this sessiond and not released."),
		runs:    desc("gc_runs_total", "Runs of collection on this sessiond; those that another sessiond's run kept away are not counted."),
		failed:  desc("gc_failures_total", "Runs of collection that ended with an error."),
		removed: desc("gc_removed_total", "Records that this sessiond has collected."),
		age:     desc("gc_last_run_timestamp_seconds", "When collection last ended without an error on this sessiond; 0 for never."),
		due:     desc("gc_due_records", "Records that the last run left due for collection, at most 20000; 0 if another sessiond collects."),
		oldest:  desc("gc_oldest_due_seconds", "For how long the oldest of them has been due; 0 if there is none."),
		behind:  desc("gc_behind", "1 if the last run ended with more to collect, else 0."),
	}
}

// Describe implements prometheus.Collector.
func (c *serviceCollector) Describe(out chan<- *prometheus.Desc) {
	prometheus.DescribeByCollect(c, out)
}

// Collect implements prometheus.Collector.
func (c *serviceCollector) Collect(out chan<- prometheus.Metric) {
	s := c.svc.Stats()
	behind, last, oldest := 0.0, 0.0, 0.0
	if s.GCBehind {
		behind = 1
	}
	if !s.GCLast.IsZero() {
		last = float64(s.GCLast.UnixMilli()) / 1000
	}
	if !s.GCOldest.IsZero() {
		oldest = max(0, time.Since(s.GCOldest).Seconds())
	}
	for _, m := range []struct {
		desc  *prometheus.Desc
		kind  prometheus.ValueType
		value float64
	}{
		{c.waiting, prometheus.GaugeValue, float64(s.LockWaiters)},
		{c.held, prometheus.GaugeValue, float64(s.LocksHeld)},
		{c.runs, prometheus.CounterValue, float64(s.GCRuns)},
		{c.failed, prometheus.CounterValue, float64(s.GCFailures)},
		{c.removed, prometheus.CounterValue, float64(s.GCRemoved)},
		{c.age, prometheus.GaugeValue, last},
		{c.behind, prometheus.GaugeValue, behind},
		{c.due, prometheus.GaugeValue, float64(s.GCDue)},
		{c.oldest, prometheus.GaugeValue, oldest},
	} {
		out <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value)
	}
}
