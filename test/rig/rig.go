// Package rig is the whole product on a lab: a real control plane with the
// shipped CRDs, policies, webhooks, catalogue and RBAC applied, and the operator
// running as a process of its own under its own ServiceAccount. The demo, the
// development set-up and the acceptance tests stand on it; nothing that ships
// imports it.
package rig

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/lab"
)

// Options say how to set up.
type Options struct {
	// Dir keeps logs and kubeconfigs; a temporary folder where empty.
	Dir string
	// OperatorArgs are further flags of the operator.
	OperatorArgs []string
	// OperatorEnv are further variables, NAME=value, of the operator.
	OperatorEnv []string
	// Replicas is how many operators can run, behind one address for the API
	// server to call; 1 where zero. Start starts the first.
	Replicas int
	// Through changes the operator's way to the API server, as by a proxy.
	Through func(*lab.Lab, *rest.Config) (*rest.Config, error)
	// Verification has the operator test values against their providers. Without
	// it, nothing leaves the machine.
	Verification bool
	// Say is told each step; nil means silence.
	Say func(format string, args ...any)
}

// Rig is a running product.
type Rig struct {
	*lab.Lab

	// Client acts as an administrator, uncached.
	Client client.Client
	// AdminKubeconfig is that administrator's.
	AdminKubeconfig string
	// OperatorConfig is the operator's own identity.
	OperatorConfig *rest.Config
	// Operator is the running process; nil while it is stopped.
	Operator *lab.Operator

	root     string
	bin      string
	rootKey  string
	args     []string
	env      []string
	replicas []*Replica
	service  *lab.Service
}

// Scheme knows the kinds of Kubernetes and of this project.
func Scheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		panic(err) // two packages that register the same kind: a mistake in the program
	}
	return scheme
}

// Start sets everything up and returns when the operator is ready. On an error
// everything is stopped again.
func Start(ctx context.Context, o Options) (*Rig, error) {
	if o.Say == nil {
		o.Say = func(string, ...any) {}
	}
	r := &Rig{args: append([]string{fmt.Sprintf("--verification=%t", o.Verification)}, o.OperatorArgs...), env: o.OperatorEnv}
	for _, step := range []func(context.Context, Options) error{r.build, r.startLab, r.install, r.identify} {
		if err := step(ctx, o); err != nil {
			return nil, errors.Join(err, r.Stop())
		}
	}
	o.Say("starting the operator as its own ServiceAccount")
	if err := r.StartOperator(ctx); err != nil {
		return nil, errors.Join(err, r.Stop())
	}
	return r, nil
}

func (r *Rig) build(ctx context.Context, o Options) error {
	var err error
	if r.root, err = lab.ProjectRoot(); err != nil {
		return err
	}
	r.bin = filepath.Join(r.root, "bin")
	o.Say("building the operator and the kubectl plugin")
	return errors.Join(
		lab.Build(ctx, "./cmd/usersecret-operator", filepath.Join(r.bin, "usersecret-operator")),
		lab.Build(ctx, "./cmd/kubectl-usersecret", filepath.Join(r.bin, "kubectl-usersecret")),
	)
}

func (r *Rig) startLab(ctx context.Context, o Options) error {
	if err := r.makeReplicas(max(1, o.Replicas)); err != nil {
		return err
	}
	o.Say("starting etcd, kube-apiserver and kube-controller-manager")
	var err error
	if r.Lab, err = lab.Start(ctx, lab.Options{
		ControllerManager: true, ServiceAccountAdmission: true, AuditLog: true, PluginDir: r.bin, Dir: o.Dir,
	}); err != nil {
		return err
	}
	admin := r.Admin()
	if r.Client, err = client.New(admin, client.Options{Scheme: Scheme()}); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	r.AdminKubeconfig, err = r.Kubeconfig(admin, "")
	return err
}

// install applies what ships, but for the Deployment: its Service would have no
// node to run on, so the webhooks are called by URL.
func (r *Rig) install(ctx context.Context, o Options) error {
	o.Say("applying CRDs, RBAC, policies, webhooks and the catalogue")
	var paths []string
	for _, part := range []string{"crd/bases", "manager/namespace.yaml", "rbac", "policy", "providers", "webhook"} {
		paths = append(paths, filepath.Join(r.root, "config", part))
	}
	return r.Apply(ctx, paths, lab.WebhookURL("https://"+r.WebhookAddress()))
}

func (r *Rig) identify(ctx context.Context, o Options) error {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	r.rootKey = hex.EncodeToString(key)
	var err error
	r.OperatorConfig, err = r.ServiceAccountConfig(ctx, v1alpha1.OperatorNamespace, v1alpha1.OperatorName)
	if err == nil && o.Through != nil {
		r.OperatorConfig, err = o.Through(r.Lab, r.OperatorConfig)
	}
	return err
}

// StartOperator starts the first replica's process, again after a stop too.
func (r *Rig) StartOperator(ctx context.Context) error {
	err := r.StartReplica(ctx, 0)
	r.Operator = r.replicas[0].Process
	return err
}

// LaunchOperator is StartOperator for one that has something to wait for: it
// returns when the operator is alive.
func (r *Rig) LaunchOperator(ctx context.Context) error {
	err := r.startReplica(ctx, 0, r.replicas[0].LiveURL())
	r.Operator = r.replicas[0].Process
	return err
}

// StopOperator ends the first replica's process and waits for it.
func (r *Rig) StopOperator() error {
	r.Operator = nil
	return r.replicas[0].stop()
}

// Stop ends everything.
func (r *Rig) Stop() error {
	if r.Lab == nil {
		return nil
	}
	var failed []error
	for _, replica := range r.replicas {
		failed = append(failed, replica.stop())
	}
	if r.service != nil {
		failed = append(failed, r.service.Close())
	}
	return errors.Join(append(failed, r.Lab.Stop())...)
}

// MetricsURL is where the first replica's metrics are.
func (r *Rig) MetricsURL() string { return r.replicas[0].MetricsURL() }

// RootKey is the root key that the operator was given, in hexadecimal.
func (r *Rig) RootKey() string { return r.rootKey }

// ProjectFile is the path of one of the project's files.
func (r *Rig) ProjectFile(path string) string { return filepath.Join(r.root, path) }

// Plugin is the path of the kubectl plugin.
func (r *Rig) Plugin() string { return filepath.Join(r.bin, "kubectl-usersecret") }

// KeepKubeconfig writes a kubeconfig into a folder that outlives the lab's own.
func KeepKubeconfig(dir, name string, cfg *rest.Config, namespace string) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("making %s: %w", dir, err)
	}
	path := filepath.Join(dir, name+".kubeconfig")
	return path, lab.WriteKubeconfig(path, cfg, namespace)
}
