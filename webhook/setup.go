// Package webhook is the admission webhook: it seals plaintext before it is
// stored, keeps every user's secrets that user's, and prepares pods that ask
// for secrets.
//
// Every decision here needs the requester or another object; what an object can
// say about itself is in the CRD, and what must hold while the operator is away
// is in config/policy. Answers to anybody but the owner never depend on a value,
// but for the catalogue's pattern, which a delegate's new value must match too.
package webhook

import (
	"context"
	"net/http"
	"time"

	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"usersecrets.dev/operator/internal/audit"
	"usersecrets.dev/operator/internal/inject"
	"usersecrets.dev/operator/internal/keyring"
	"usersecrets.dev/operator/internal/owner"
)

// Paths that the webhook configurations name.
const (
	PathSealUserSecret     = "/seal-usersecret"
	PathValidateUserSecret = "/validate-usersecret"
	PathDeleteUserSecret   = "/delete-usersecret"
	PathInjectPod          = "/inject-pod"
	PathDeleteKey          = "/delete-encryptionkey"
	PathValidateProvider   = "/validate-secretprovider"
	PathDeleteProvider     = "/delete-secretprovider"
)

// Options is what the handlers decide from.
type Options struct {
	// Reader reads from the caches, Client live.
	Reader client.Reader
	Client client.Client
	Keys   *keyring.Keyring
	Owners *owner.Resolver
	Audit  audit.Sink
	Clock  clock.PassiveClock
	// Operator is the operator's own username.
	Operator string
	// Limits bound what pods may ask for.
	Limits inject.Limits
}

// Registry is where handlers are served: a controller-runtime webhook server.
type Registry interface {
	Register(path string, hook http.Handler)
}

// Register serves every admission handler.
func Register(registry Registry, o Options) {
	v := &vault{
		keys: o.Keys, owners: o.Owners, reader: o.Reader, live: o.Client, audit: o.Audit, clock: o.Clock,
		requesters: &requesters{client: o.Client, operator: o.Operator},
	}
	for path, handler := range map[string]admission.Handler{
		PathSealUserSecret:     &sealer{vault: v},
		PathValidateUserSecret: &validator{vault: v},
		PathDeleteUserSecret:   &remover{vault: v},
		PathInjectPod:          &injector{vault: v, limits: o.Limits},
		PathDeleteKey:          &retirer{vault: v},
		PathValidateProvider:   &curator{vault: v},
		PathDeleteProvider:     &curator{vault: v},
	} {
		registry.Register(path, &admission.Webhook{Handler: finishing{handler}})
	}
}

// finishing lets an answer that is under way be finished when the process is
// told to stop: cut short, it would refuse a request for no reason of its own.
type finishing struct{ admission.Handler }

// answerTime bounds one answer; the webhook configurations give up after 10 s.
const answerTime = 10 * time.Second

// Handle implements admission.Handler.
func (f finishing) Handle(ctx context.Context, req admission.Request) admission.Response {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime)
	defer cancel()
	return f.Handler.Handle(ctx, req)
}
