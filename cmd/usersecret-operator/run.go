package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/audit"
	"usersecrets.dev/operator/internal/certificates"
	"usersecrets.dev/operator/internal/guard"
	"usersecrets.dev/operator/internal/inject"
	"usersecrets.dev/operator/internal/keyring"
	"usersecrets.dev/operator/internal/owner"
)

func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(s))
	utilruntime.Must(v1alpha1.AddToScheme(s))
	return s
}

// parts are what the webhooks and controllers share.
type parts struct {
	options *options
	manager manager.Manager
	// direct reads and writes without any cache. Everything that has to do
	// with Secrets goes through it.
	direct   client.Client
	roots    rootKeys
	keys     *keyring.Keyring
	owners   *owner.Resolver
	audit    audit.Sink
	guard    *guard.Guard
	rotator  *certificates.Rotator // nil where certificates are mounted
	clock    clock.Clock
	operator string
	leaving  atomic.Bool
}

// run brings the vault up and serves until ctx ends.
func run(ctx context.Context, o *options) error {
	log, err := o.accessLog.open()
	if err != nil {
		return err
	}
	return errors.Join(serve(ctx, o, log), log.Close())
}

func serve(ctx context.Context, o *options, log audit.Sink) error {
	cfg, err := config.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the API server: %w", err)
	}
	cfg.UserAgent = "usersecret-operator/" + version
	p := &parts{options: o, clock: clock.RealClock{}, audit: log}
	if p.direct, err = client.New(cfg, client.Options{Scheme: scheme()}); err != nil {
		return fmt.Errorf("connecting to the API server: %w", err)
	}
	if err := patiently(ctx, o, p.openVault); err != nil {
		return err
	}
	if p.operator, err = whoAmI(ctx, p.direct); err != nil {
		return err
	}
	if p.manager, err = newManager(cfg, p); err != nil {
		return err
	}
	p.owners = &owner.Resolver{Cache: p.manager.GetCache(), Live: p.direct, Annotation: o.ownerAnnotation}
	p.guard = guard.New(p.direct, guard.Installation{Account: p.operator, Namespace: o.namespace, OwnerAnnotation: o.ownerAnnotation})
	for _, setup := range []func(context.Context) error{p.setupCaches, p.setupKeys, p.setupWebhooks, p.setupControllers, p.setupChecks} {
		if err := setup(ctx); err != nil {
			return err
		}
	}
	return p.manager.Start(p.lasting(ctx))
}

// lasting outlives ctx by the shutdown delay, in which this replica says that it
// is not ready and still answers: the API server goes on calling it until every
// node knows that it is leaving.
func (p *parts) lasting(ctx context.Context) context.Context {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		<-ctx.Done()
		p.leaving.Store(true)
		time.Sleep(p.options.shutdownDelay)
		stop()
	}()
	return serving
}

func (p *parts) stays(*http.Request) error {
	if p.leaving.Load() {
		return errors.New("shutting down")
	}
	return nil
}

// openVault takes the keys that flags and environment name, and unwraps what
// they wrap.
func (p *parts) openVault(ctx context.Context) error {
	if p.keys == nil {
		roots, err := p.roots.open(ctx, p.options)
		if err != nil {
			return err
		}
		p.keys = keyring.New(keyring.Config{Client: p.direct, Namespace: p.options.namespace, Roots: roots})
	}
	if err := p.keys.Bootstrap(ctx); err != nil {
		return fmt.Errorf("opening the vault: %w", err)
	}
	return nil
}

// whoAmI is the operator's own username, which its admission lets reseal.
func whoAmI(ctx context.Context, c client.Client) (string, error) {
	review := &authenticationv1.SelfSubjectReview{}
	if err := c.Create(ctx, review); err != nil {
		return "", fmt.Errorf("asking the API server who we are: %w", err)
	}
	return review.Status.UserInfo.Username, nil
}

// setupChecks has the operator ready only when it can keep its promises.
func (p *parts) setupChecks(context.Context) error {
	if err := p.manager.Add(p.guard); err != nil {
		return err
	}
	caches := &cachesSynced{}
	if err := p.manager.Add(caches); err != nil {
		return err
	}
	return errors.Join(
		p.manager.AddHealthzCheck("ping", healthz.Ping),
		p.manager.AddReadyzCheck("policies", p.guard.Ready),
		p.manager.AddReadyzCheck("caches", caches.check),
		p.manager.AddReadyzCheck("stays", p.stays),
		p.manager.AddReadyzCheck("webhook-server", once(p.manager.GetWebhookServer().StartedChecker())),
	)
}

func (p *parts) limits() inject.Limits {
	return inject.Limits{MaxTTL: p.options.maxTTL, DefaultTTL: p.options.defaultTTL}
}
