package cli

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
)

// rotation is how far a rotation towards one key is.
type rotation struct {
	keyID       string
	done, total int
	// still is how often in a row the count was seen as it was before.
	still int
	// left are those that the operator does not seal again by itself.
	left              []v1alpha1.UserSecret
	ended, superseded bool
}

// resting is how often the count must stand still before each UserSecret is
// looked at: they are many megabytes, and change while it moves.
const resting = 4

func (r *rotation) over() bool { return r.ended || r.superseded }

// look goes by the operator's own count, and where that stands still looks whether
// the rest is left on purpose.
func (r *rotation) look(ctx context.Context, from client.Reader, name string) error {
	key := &v1alpha1.EncryptionKey{}
	if err := from.Get(ctx, types.NamespacedName{Name: name}, key); err != nil {
		return fmt.Errorf("reading EncryptionKey %q: %w", name, err)
	}
	if err := stuck(key); err != nil {
		return err
	}
	was := *r
	r.keyID = key.Status.KeyID
	r.superseded = key.Status.Phase == v1alpha1.KeyRetiring || key.Status.Phase == v1alpha1.KeyRetired
	if r.keyID == "" || r.superseded {
		return nil
	}
	if _, err := fmt.Sscanf(key.Status.Progress, "%d/%d", &r.done, &r.total); err != nil {
		return nil // not counted yet
	}
	r.ended = r.done == r.total
	if r.still++; r.done != was.done || r.total != was.total {
		r.still = 0
	}
	if r.ended || r.still == 0 || r.still%resting != 0 {
		return nil
	}
	return r.lookAtEach(ctx, from)
}

// stuck says why a key will not get material without somebody's help.
func stuck(key *v1alpha1.EncryptionKey) error {
	ready := condition(key.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.Status == metav1.ConditionTrue || key.Status.KeyID != "" {
		return nil
	}
	switch ready.Reason {
	case v1alpha1.ReasonNoMaterial, v1alpha1.ReasonRootKeyUnavailable:
		return nil // that passes
	}
	return fmt.Errorf("EncryptionKey %q is not used: %w", key.Name, errors.New(ready.Message))
}

func (r *rotation) lookAtEach(ctx context.Context, from client.Reader) error {
	done, total := 0, 0
	r.left = nil
	list := &v1alpha1.UserSecretList{}
	for {
		next := list.Continue
		list = &v1alpha1.UserSecretList{}
		if err := from.List(ctx, list, client.Limit(chunk), client.Continue(next)); err != nil {
			return fmt.Errorf("listing UserSecrets: %w", err)
		}
		for i := range list.Items {
			us := &list.Items[i]
			total++
			switch {
			case string(envelope.KeyIDOf(us.Spec.EncryptedValue)) == r.keyID:
				done++
			case r.leaves(us):
				r.left = append(r.left, *us)
			}
		}
		if list.Continue == "" {
			break
		}
	}
	if r.ended = done+len(r.left) == total; r.ended {
		r.done, r.total = done, total
	}
	return nil
}

// leaves says whether the operator has looked at it under the new key, and leaves
// it as it is: it belongs to somebody else, or does not open.
func (r *rotation) leaves(us *v1alpha1.UserSecret) bool {
	sealed := condition(us.Status.Conditions, v1alpha1.ConditionSealed)
	if sealed == nil || us.Status.ObservedGeneration != us.Generation {
		return false
	}
	offered := string(envelope.KeyIDOf(us.Status.ResealedValue)) == r.keyID
	return sealed.Status == metav1.ConditionFalse || sealed.Reason == v1alpha1.ReasonStaleKey && offered
}
