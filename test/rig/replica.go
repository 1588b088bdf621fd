package rig

import (
	"context"
	"path/filepath"
	"strconv"

	"usersecrets.dev/operator/test/lab"
)

// Replica is one operator process with its ports.
type Replica struct {
	// Process is nil while it is stopped.
	Process *lab.Operator

	webhookPort, healthPort, metricsPort int
}

func (r *Rig) makeReplicas(n int) error {
	var backends []lab.Backend
	for range n {
		replica := &Replica{}
		for _, port := range []*int{&replica.webhookPort, &replica.healthPort, &replica.metricsPort} {
			var err error
			if *port, err = lab.FreePort(); err != nil {
				return err
			}
		}
		r.replicas = append(r.replicas, replica)
		backends = append(backends, lab.Backend{Address: loopback(replica.webhookPort), ReadyURL: replica.ReadyURL()})
	}
	if n == 1 {
		return nil
	}
	var err error
	r.service, err = lab.NewService(backends...)
	return err
}

// WebhookAddress is the host and port where the API server calls: the one replica,
// or the Service before several.
func (r *Rig) WebhookAddress() string {
	if r.service != nil {
		return r.service.Address()
	}
	return loopback(r.replicas[0].webhookPort)
}

// ShedConnections closes those to the Service before several replicas; see
// [lab.Service.Shed].
func (r *Rig) ShedConnections() {
	if r.service != nil {
		r.service.Shed()
	}
}

// Replicas is how many there are, running or not.
func (r *Rig) Replicas() int { return len(r.replicas) }

// Replica is the i-th replica, from 0.
func (r *Rig) Replica(i int) *Replica { return r.replicas[i] }

// StartReplica starts the i-th replica's process and returns when it is ready.
func (r *Rig) StartReplica(ctx context.Context, i int) error {
	return r.startReplica(ctx, i, r.replicas[i].ReadyURL())
}

// startReplica returns when url answers 200.
func (r *Rig) startReplica(ctx context.Context, i int, url string) error {
	kubeconfig, err := r.Kubeconfig(r.OperatorConfig, "")
	if err != nil {
		return err
	}
	replica := r.replicas[i]
	replica.Process, err = r.Lab.StartOperator(ctx, lab.OperatorOptions{
		Binary:     filepath.Join(r.bin, "usersecret-operator"),
		Kubeconfig: kubeconfig,
		Env:        append([]string{"VAULT_ENCRYPTION_KEY=" + r.rootKey}, r.env...),
		ReadyURL:   url,
		Args: append([]string{
			"--webhook-bind-address=127.0.0.1", "--webhook-port=" + strconv.Itoa(replica.webhookPort), "--webhook-host=127.0.0.1",
			"--health-probe-bind-address=" + loopback(replica.healthPort), "--metrics-bind-address=" + loopback(replica.metricsPort),
			"--webhook-client-ca-file=" + r.WebhookClientCA(), "--lease-duration=3s", "--shutdown-delay=500ms",
		}, r.args...),
	})
	return err
}

// StopReplica ends the i-th replica's process as a rolling update does, and
// waits for it.
func (r *Rig) StopReplica(i int) error { return r.replicas[i].stop() }

// KillReplica ends it as a lost machine would.
func (r *Rig) KillReplica(i int) {
	if p := r.replicas[i].Process; p != nil {
		p.Kill()
	}
	r.replicas[i].Process = nil
}

func (r *Replica) stop() error {
	if r.Process == nil {
		return nil
	}
	err := r.Process.Stop()
	r.Process = nil
	return err
}

// ReadyURL answers 200 while the replica is ready.
func (r *Replica) ReadyURL() string { return "http://" + loopback(r.healthPort) + "/readyz" }

// LiveURL answers 200 while the replica is alive, ready or not.
func (r *Replica) LiveURL() string { return "http://" + loopback(r.healthPort) + "/healthz" }

// MetricsURL is where the replica's metrics are.
func (r *Replica) MetricsURL() string { return "http://" + loopback(r.metricsPort) + "/metrics" }

func loopback(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }
