package main

import (
	"context"
	"fmt"

	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"usersecrets.dev/operator/controllers/encryptionkey"
	"usersecrets.dev/operator/controllers/projection"
	"usersecrets.dev/operator/controllers/sealingkey"
	"usersecrets.dev/operator/controllers/usersecret"
	"usersecrets.dev/operator/controllers/verification"
)

func (p *parts) setupControllers(ctx context.Context) error {
	core, err := corev1client.NewForConfig(p.manager.GetConfig())
	if err != nil {
		return fmt.Errorf("preparing to look at projections: %w", err)
	}
	recorder, err := newRecorder(context.WithoutCancel(ctx), p.manager.GetConfig())
	if err != nil {
		return err
	}
	cached := p.manager.GetClient()
	setups := []interface {
		SetupWithManager(mgr manager.Manager) error
	}{
		&encryptionkey.Reconciler{Client: cached, Live: p.direct, Keys: p.keys, Events: recorder, Clock: p.clock, RotationPeriod: p.options.keyRotationPeriod},
		&sealingkey.Reconciler{Client: cached, Keys: p.keys, Owners: p.owners, Events: recorder},
		&usersecret.Reconciler{Client: cached, Live: p.direct, Keys: p.keys, Owners: p.owners, Events: recorder, Clock: p.clock},
		projection.New(projection.Config{
			Cache: p.manager.GetCache(), Client: p.direct, Look: projection.LookThrough(core.RESTClient()), Keys: p.keys, Owners: p.owners, Events: recorder,
			Audit: p.audit, Clock: p.clock, Limits: p.limits(), Guard: p.guard.Check,
		}),
	}
	if p.options.verification.on {
		tester, err := p.options.verification.tester()
		if err != nil {
			return err
		}
		setups = append(setups, verification.New(verification.Config{
			Client: cached, Keys: p.keys, Owners: p.owners, Tester: tester, Events: recorder,
			Audit: p.audit, Clock: p.clock, Account: p.operator, Limits: p.options.verification.limits,
		}))
	}
	for _, s := range setups {
		if err := s.SetupWithManager(p.manager); err != nil {
			return err
		}
	}
	return nil
}
