package usersecret

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/catalogue"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/keyring"
	"usersecrets.dev/operator/internal/owner"
	"usersecrets.dev/operator/internal/secretvalue"
	"usersecrets.dev/operator/internal/selection"
)

// scope holds the facts of one reconciliation. Failed looks are facts too; only
// what may mend itself by trying again is an error.
type scope struct {
	userSecret *v1alpha1.UserSecret
	now        time.Time

	owner       string
	sealReason  string // one of the reasons of ConditionSealed
	sealMessage string
	keyID       string
	valueID     string
	masked      string
	catalogue   error // why the catalogue does not know it, or nil

	keys     ranks
	active   string // id of the key that seals new values; empty where none does now
	keeper   string // who else keeps encryptedValue as it is, in words
	resealed string // the value sealed with the active key, offered to its keeper

	rival          string // the UserSecret that pods get in its place, or none
	rivalExpiresAt *metav1.Time
}

// observe fills in every fact.
func (r *Reconciler) observe(ctx context.Context, s *scope) error {
	if err := r.observeValue(ctx, s); err != nil {
		return err
	}
	if err := r.observeKeeper(ctx, s); err != nil {
		return err
	}
	entry, err := r.observeCatalogue(ctx, s)
	if err != nil || entry == nil || entry.AllowMultiple {
		return err
	}
	return r.observeRival(ctx, s)
}

// observeValue opens the sealed value; the plaintext does not outlive it.
func (r *Reconciler) observeValue(ctx context.Context, s *scope) error {
	us := s.userSecret
	// The value's text names its key also where nobody may open it.
	sealed, malformed := envelope.Parse(us.Spec.EncryptedValue)
	s.keyID = string(sealed.KeyID())
	var err error
	s.owner, err = r.Owners.Of(ctx, us.Namespace)
	if errors.Is(err, owner.ErrNone) {
		s.sealReason, s.sealMessage = v1alpha1.ReasonNoOwner, err.Error()
		return nil
	}
	if err != nil {
		return err
	}
	if malformed != nil {
		s.sealReason, s.sealMessage = v1alpha1.ReasonMalformed, malformed.Error()
		return nil
	}
	place := envelope.Binding{Owner: s.owner, Namespace: us.Namespace, Name: us.Name}
	value, err := r.Keys.Open(ctx, sealed, place)
	switch {
	case err == nil:
		defer value.Zero()
		return r.describe(s, place, value)
	case errors.Is(err, keyring.ErrUnknownKey):
		s.sealReason, s.sealMessage = v1alpha1.ReasonUnknownKey, err.Error()
	case errors.Is(err, envelope.ErrNotOpened):
		s.sealReason, s.sealMessage = v1alpha1.ReasonDoesNotOpen, err.Error()
	default:
		return fmt.Errorf("opening the value: %w", err)
	}
	return nil
}

func (r *Reconciler) describe(s *scope, place envelope.Binding, value secretvalue.Value) error {
	var err error
	if s.valueID, err = r.Keys.ValueID(place, value); err != nil {
		return fmt.Errorf("identifying the value: %w", err)
	}
	s.sealReason = v1alpha1.ReasonOpens
	s.sealMessage = "The value opens for this owner, namespace and name"
	s.masked = secretvalue.Mask(value, s.userSecret.Spec.Type == v1alpha1.TypeConnectionString)
	return nil
}

func (r *Reconciler) observeCatalogue(ctx context.Context, s *scope) (*v1alpha1.ProviderType, error) {
	provider := &v1alpha1.SecretProvider{}
	err := r.Client.Get(ctx, types.NamespacedName{Name: s.userSecret.Spec.Provider}, provider)
	if apierrors.IsNotFound(err) {
		s.catalogue = catalogue.UnknownProvider(s.userSecret.Spec.Provider)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading provider %q: %w", s.userSecret.Spec.Provider, err)
	}
	entry, err := catalogue.Type(provider, s.userSecret.Spec.Type)
	s.catalogue = err
	return entry, nil
}

// observeRival finds the older UserSecret that is given out in this one's place,
// in the order in which a pod's is chosen.
func (r *Reconciler) observeRival(ctx context.Context, s *scope) error {
	var list v1alpha1.UserSecretList
	if err := r.Client.List(ctx, &list, client.InNamespace(s.userSecret.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("listing UserSecrets: %w", err)
	}
	all := make([]*v1alpha1.UserSecret, 0, len(list.Items))
	for i := range list.Items {
		all = append(all, &list.Items[i])
	}
	for _, other := range selection.Candidates(all, s.userSecret.Spec.Provider, s.userSecret.Spec.Type) {
		if other.Name == s.userSecret.Name {
			return nil
		}
		if selection.Usable(other, s.now) == nil {
			s.rival, s.rivalExpiresAt = other.Name, other.Spec.ExpiresAt
			return nil
		}
	}
	return nil
}
