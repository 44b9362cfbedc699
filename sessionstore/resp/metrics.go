package resp

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the face's figures. Names and labels are listed in docs/operations.md.
type metrics struct {
	connections prometheus.GaugeFunc
	refused     prometheus.Counter
	malformed   prometheus.Counter
	seconds     *prometheus.HistogramVec
	observers   [classes][outcomes]prometheus.Observer
}

// latencies bound the histogram's buckets, in seconds, as those of the HTTP face.
var latencies = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

func newMetrics(s *Server) *metrics {
	m := &metrics{
		connections: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sessiond_redis_connections", Help: "Open connections of the Redis protocol.",
		}, func() float64 { return float64(s.connections()) }),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sessiond_redis_connections_refused_total", Help: "Connections refused because there were too many, or while draining.",
		}),
		malformed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sessiond_redis_protocol_errors_total", Help: "Connections closed for what is not the Redis protocol.",
		}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sessiond_redis_command_seconds", Help: "Time to execute a command, by class and outcome.", Buckets: latencies,
		}, []string{"class", "outcome"}),
	}
	for c := range classes {
		for o, name := range [outcomes]string{"ok", "refused", "failed"} {
			m.observers[c][o] = m.seconds.WithLabelValues(c.String(), name)
		}
	}
	return m
}

func (m *metrics) done(c class, o outcome, took time.Duration) {
	m.observers[c][o].Observe(took.Seconds())
}

// Describe implements [prometheus.Collector].
func (s *Server) Describe(out chan<- *prometheus.Desc) { prometheus.DescribeByCollect(s, out) }

// Collect implements [prometheus.Collector].
func (s *Server) Collect(out chan<- prometheus.Metric) {
	for _, c := range []prometheus.Collector{s.metrics.connections, s.metrics.refused, s.metrics.malformed, s.metrics.seconds} {
		c.Collect(out)
	}
}
