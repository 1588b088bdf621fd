package usersecret

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
)

// errStale means that the UserSecret is not what the cache said; by the next look
// the cache has caught up.
var errStale = errors.New("the UserSecret changed meanwhile")

// step is what to do about the key that a value is sealed with.
type step int

const (
	// keep: it is the active one, or nothing can be done.
	keep step = iota
	// reseal: write the same value, sealed with the active key.
	reseal
	// offer: the sealed value is somebody else's to write; offer them one.
	offer
)

// decide computes the step from the facts alone.
func decide(s *scope) step {
	switch {
	case !s.stale():
		return keep
	case s.keeper != "":
		return offer
	default:
		return reseal
	}
}

// opens says whether the value opens, with whichever key.
func (s *scope) opens() bool {
	return s.sealReason == v1alpha1.ReasonOpens || s.sealReason == v1alpha1.ReasonStaleKey
}

// stale says whether the value opens, but a newer key seals new ones.
func (s *scope) stale() bool { return s.opens() && s.active != "" && s.keyID != s.active }

func (r *Reconciler) carryOut(ctx context.Context, s *scope) error {
	switch decide(s) {
	case reseal:
		return r.reseal(ctx, s)
	case offer:
		return r.offer(ctx, s)
	default:
		return nil
	}
}

// reseal replaces the ciphertext by one of the same value, where it is still the
// one that was opened: what its owner writes meanwhile is never overwritten.
func (r *Reconciler) reseal(ctx context.Context, s *scope) (err error) {
	defer func() { countReseal(err) }()
	before := s.userSecret
	sealed, err := r.sealAgain(ctx, s)
	if err != nil {
		return err
	}
	patch, err := json.Marshal([]map[string]any{
		{"op": "test", "path": "/metadata/uid", "value": before.UID},
		{"op": "test", "path": "/spec/encryptedValue", "value": before.Spec.EncryptedValue},
		{"op": "replace", "path": "/spec/encryptedValue", "value": sealed},
	})
	if err != nil {
		return fmt.Errorf("encoding the resealed value: %w", err)
	}
	after := &v1alpha1.UserSecret{}
	after.Namespace, after.Name = before.Namespace, before.Name
	err = r.Client.Patch(ctx, after, client.RawPatch(types.JSONPatchType, patch), client.FieldOwner(FieldManager))
	switch {
	case apierrors.IsNotFound(err), testFailed(err):
		return errStale
	case err != nil:
		return fmt.Errorf("resealing: %w", err)
	}
	s.userSecret, s.keyID = after, string(envelope.KeyIDOf(after.Spec.EncryptedValue))
	return nil
}

// testFailed says whether a JSON patch's test (RFC 6902, section 4.6) found
// something else. The API server answers 422 without a cause, which a refused
// object has.
func testFailed(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Code == http.StatusUnprocessableEntity && (status.Status().Details == nil || len(status.Status().Details.Causes) == 0)
}

// offer puts the value, sealed with the active key, into status. One that was
// offered already stands: every sealing gives another text, and status would
// never come to rest.
func (r *Reconciler) offer(ctx context.Context, s *scope) error {
	before := s.userSecret.Status
	s.sealReason = v1alpha1.ReasonStaleKey
	s.sealMessage = fmt.Sprintf("The value opens, but it is sealed with key %s, and %s has taken over. The operator leaves it, since %s. "+
		"Write status.resealedValue into the manifest with 'kubectl usersecret reseal -f FILE' and apply that", s.keyID, s.active, s.keeper)
	if before.ValueID == s.valueID && before.Owner == s.owner && string(envelope.KeyIDOf(before.ResealedValue)) == s.active {
		s.resealed = before.ResealedValue
		return nil
	}
	var err error
	s.resealed, err = r.sealAgain(ctx, s)
	return err
}

// sealAgain opens the value and seals it with the active key.
func (r *Reconciler) sealAgain(ctx context.Context, s *scope) (string, error) {
	us := s.userSecret
	place := envelope.Binding{Owner: s.owner, Namespace: us.Namespace, Name: us.Name}
	value, err := r.Keys.OpenText(ctx, us.Spec.EncryptedValue, place)
	if err != nil {
		return "", fmt.Errorf("opening the value to seal it again: %w", err)
	}
	defer value.Zero()
	sealed, err := r.Keys.Seal(place, value)
	if err != nil {
		return "", fmt.Errorf("sealing the value again: %w", err)
	}
	return sealed, nil
}
