package usersecret

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

var reseals = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "usersecret_reseals_total",
	Help: "Values that were sealed again with a newer encryption key, by result: resealed, failed, or overtaken by a change of its owner's.",
}, []string{"result"})

func init() { metrics.Registry.MustRegister(reseals) }

func countReseal(err error) {
	switch {
	case err == nil:
		reseals.WithLabelValues("resealed").Inc()
	case errors.Is(err, errStale):
		reseals.WithLabelValues("overtaken").Inc()
	default:
		reseals.WithLabelValues("failed").Inc()
	}
}
