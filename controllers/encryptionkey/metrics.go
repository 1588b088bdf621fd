package encryptionkey

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"usersecrets.dev/operator/api/v1alpha1"
)

// A key id is the one name that metrics carry: there are a handful, none of a
// user's, and the question is which key is still needed.
var sealedSecrets = prometheus.NewGaugeVec(prometheus.GaugeOpts{
	Name: "usersecret_encryption_key_secrets",
	Help: "UserSecrets sealed with an encryption key, by key id and phase.",
}, []string{"key_id", "phase"})

// activeSince is when the active key's object was created, Unix seconds; 0 where
// this replica does not know.
var activeSince atomic.Int64

func init() {
	metrics.Registry.MustRegister(sealedSecrets, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "usersecret_active_key_age_seconds",
		Help: "Age of the active encryption key; 0 on replicas that do not lead.",
	}, activeAge))
}

func activeAge() float64 {
	since := activeSince.Load()
	if since == 0 {
		return 0
	}
	return time.Since(time.Unix(since, 0)).Seconds()
}

func measure(objects []v1alpha1.EncryptionKey) {
	sealedSecrets.Reset()
	for i := range objects {
		status := &objects[i].Status
		if status.KeyID != "" {
			sealedSecrets.WithLabelValues(status.KeyID, string(status.Phase)).Set(float64(status.SealedSecrets))
		}
		if status.Phase == v1alpha1.KeyActive {
			activeSince.Store(objects[i].CreationTimestamp.Unix())
		}
	}
}
