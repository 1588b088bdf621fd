// Command demo shows the main job on a real control plane, from nothing to done,
// and fails where any step is not as it should be. `make demo` runs it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"usersecrets.dev/operator/test/rig"
)

// limit ends a demo that hangs. It takes well under two minutes once the
// binaries are built.
const limit = 5 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, limit)
	err := run(ctx)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "\nThe demo failed: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	ctrl.SetLogger(logr.Discard())
	began := time.Now()
	d := &demo{out: newPrinter(os.Stdout), forecast: newForecast()}
	defer d.forecast.server.Close()
	dir, err := os.MkdirTemp("", "usersecret-demo-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	env, err := d.forecast.environment(dir)
	if err != nil {
		return err
	}
	d.out.title("A control plane from nothing: etcd, kube-apiserver, kube-controller-manager, and the operator")
	d.rig, err = rig.Start(ctx, rig.Options{Say: d.out.note, Verification: true, OperatorEnv: env})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil && d.rig.Operator != nil {
			fmt.Fprintf(os.Stderr, "\nThe end of the operator's log:\n%s\n", tail(d.rig.Operator.Log(), 20))
		}
		if stopped := d.rig.Stop(); err == nil {
			err = stopped
		}
	}()
	d.out.proves("the operator is ready, so its certificate is in the webhooks and the policies are enforced")
	for _, step := range d.steps() {
		d.out.title(step.title)
		if err := step.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.title, err)
		}
		d.out.proves(step.proves)
	}
	d.out.done("All %d steps went as they should, in %s.", len(d.steps())+1, time.Since(began).Round(100*time.Millisecond))
	return nil
}

// tail is the last lines of a text.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// step is one thing shown.
type step struct {
	title  string
	run    func(context.Context) error
	proves string
}

func (d *demo) steps() []step {
	return []step{
		{"Two users, each with a client certificate and a namespace of their own", d.onboard, "an owner is an annotation on the Namespace, and a public key is published for sealing"},
		{"alice stores a key: sealed on her machine", d.createSealed, "only ciphertext ever leaves alice's machine; what is shown of the value is its last 4 characters"},
		{"alice applies a plaintext manifest", d.applyPlaintext, "admission seals it before it is stored: neither the object nor etcd holds the plaintext"},
		{"The same plaintext from somebody else than its owner", d.refusePlaintext, "plaintext is taken from the owner alone, and the answer does not repeat it"},
		{"Does the provider accept it?", d.testAgainstProvider, "a wrong key is known before a workflow fails on it, and stays where it is: no verdict takes a value away"},
		{"A workflow pod asks for alice's key", d.runPod, "the pod got a Secret of its own, and the use was recorded before the Secret existed"},
		{"kubectl describe answers who used it", d.describe, "workflow, node, pod and time stand in the status and in Events"},
		{"bob tries", d.bobTries, "RBAC, the cryptography and the policies each turn bob away, and tell him nothing"},
		{"alice takes the key back from the running pod", d.deactivate, "switching a UserSecret off empties what was issued"},
		{"The pod ends", d.endPod, "the projection is gone, and the plaintext with it: nothing in etcd holds it"},
	}
}
