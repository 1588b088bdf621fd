// Package webhook is the admission webhook: it seals plaintext before it is
// stored, keeps every user's secrets that user's, and prepares pods that ask
// for secrets.
//
// Every decision here needs the requester or another object; what an object can
// say about itself is in the CRD, and what must hold while the operator is away
// is in config/policy. Answers to anybody but the owner never depend on a value.
package webhook

import (
	"net/http"

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
	} {
		registry.Register(path, &admission.Webhook{Handler: handler})
	}
}
