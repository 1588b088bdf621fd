package webhook

import (
	"context"
	"fmt"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/audit"
	"usersecrets.dev/operator/internal/catalogue"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/keyring"
	"usersecrets.dev/operator/internal/owner"
)

// vault is what every handler decides from.
type vault struct {
	keys       *keyring.Keyring
	owners     *owner.Resolver
	requesters *requesters
	reader     client.Reader // the cache
	live       client.Reader
	audit      audit.Sink
	clock      clock.PassiveClock
}

// +kubebuilder:rbac:groups=usersecrets.dev,resources=secretproviders,verbs=get;list;watch

// provider looks a SecretProvider up, live where the cache does not know it yet.
func (v *vault) provider(ctx context.Context, name string) (*v1alpha1.SecretProvider, error) {
	provider := &v1alpha1.SecretProvider{}
	key := types.NamespacedName{Name: name}
	err := v.reader.Get(ctx, key, provider)
	if apierrors.IsNotFound(err) {
		err = v.live.Get(ctx, key, provider)
	}
	switch {
	case apierrors.IsNotFound(err):
		return nil, catalogue.UnknownProvider(name)
	case err != nil:
		return nil, fmt.Errorf("reading provider %q: %w", name, err)
	default:
		return provider, nil
	}
}

func (v *vault) userSecrets(ctx context.Context, namespace string) ([]*v1alpha1.UserSecret, error) {
	var list v1alpha1.UserSecretList
	if err := v.reader.List(ctx, &list, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing UserSecrets: %w", err)
	}
	secrets := make([]*v1alpha1.UserSecret, 0, len(list.Items))
	for i := range list.Items {
		secrets = append(secrets, &list.Items[i])
	}
	return secrets, nil
}

// refuse denies a request and records who tried what on whose secret. err is
// shown to the requester and must not repeat a value.
func (v *vault) refuse(req admission.Request, secretOwner string, err error) *admission.Response {
	v.record(req, secretOwner, audit.Deny, err.Error())
	resp := admission.Denied(err.Error())
	return &resp
}

func (v *vault) record(req admission.Request, secretOwner string, decision audit.Decision, reason string) {
	v.write(req, v.access(req, secretOwner, decision, reason))
}

// recordOf records what was done to a UserSecret that is at hand.
func (v *vault) recordOf(req admission.Request, us *v1alpha1.UserSecret, r audit.Record) {
	r.UID, r.KeyID = string(us.UID), string(envelope.KeyIDOf(us.Spec.EncryptedValue))
	v.write(req, r)
}

// write writes a record of what is no dry run.
func (v *vault) write(req admission.Request, r audit.Record) {
	if req.DryRun != nil && *req.DryRun {
		return
	}
	v.audit.Write(r)
}

func (v *vault) access(req admission.Request, secretOwner string, decision audit.Decision, reason string) audit.Record {
	r := audit.Record{
		ID: string(req.UID), Time: v.now(), Type: accessType(req), Decision: decision, Reason: reason,
		Owner: secretOwner, Namespace: req.Namespace, Actor: req.UserInfo.Username,
	}
	if ofPod(req) {
		r.Pod = req.Name
	} else {
		r.Name = req.Name
	}
	return r
}

func accessType(req admission.Request) audit.Type {
	if ofPod(req) {
		return audit.Use
	}
	switch req.Operation {
	case admissionv1.Create:
		return audit.Create
	case admissionv1.Delete:
		return audit.Delete
	default:
		return audit.Update
	}
}

func ofPod(req admission.Request) bool { return req.Kind.Kind == "Pod" }

// now is a seam for tests.
func (v *vault) now() time.Time { return v.clock.Now() }
