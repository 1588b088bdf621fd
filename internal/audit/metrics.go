package audit

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

var (
	writtenRecords = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "usersecret_access_log_records_total",
		Help: "Records that were written to the access log.",
	})
	failures = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "usersecret_access_log_failures_total",
		Help: "Failed attempts to write the access log; what they held is tried again.",
	})
	droppedRecords = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "usersecret_access_log_dropped_total",
		Help: "Records that the access log lost, since too many waited to be written.",
	})
	queuedBytes = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "usersecret_access_log_queue_bytes",
		Help: "Memory of the records that wait to be written to the access log.",
	})
)

func init() { metrics.Registry.MustRegister(writtenRecords, failures, droppedRecords, queuedBytes) }
