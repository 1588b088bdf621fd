package verification

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

var (
	verifications = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "usersecret_verifications_total",
		Help: "Connection tests that were run, by result: Accepted, Rejected, Unreachable or NotTestable.",
	}, []string{"result"})
	duration = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "usersecret_verification_duration_seconds",
		Help:    "How long connection tests took.",
		Buckets: []float64{0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10},
	})
	running = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "usersecret_verifications_running",
		Help: "Connection tests that run now.",
	})
	waiting = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "usersecret_verifications_waiting",
		Help: "Connection tests that wait for their turn.",
	})
)

func init() { metrics.Registry.MustRegister(verifications, duration, running, waiting) }

func count(result string, took time.Duration) {
	verifications.WithLabelValues(result).Inc()
	duration.Observe(took.Seconds())
}
