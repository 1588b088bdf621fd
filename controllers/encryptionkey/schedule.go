package encryptionkey

import (
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/keyname"
)

// schedule makes the next EncryptionKey where the active one is old enough, and
// says when it will be; zero means never. The age counts from the object's
// creation, so a restored vault's begins anew.
func (r *Reconciler) schedule(ctx context.Context, objects []v1alpha1.EncryptionKey) (time.Duration, error) {
	if r.RotationPeriod <= 0 {
		return 0, nil
	}
	pending := func(key v1alpha1.EncryptionKey) bool { return key.Status.Phase == v1alpha1.KeyPending }
	if slices.ContainsFunc(objects, pending) {
		return 0, nil // a rotation has begun already
	}
	for i := range objects {
		object := &objects[i]
		if object.Status.Phase != v1alpha1.KeyActive {
			continue
		}
		if left := object.CreationTimestamp.Add(r.RotationPeriod).Sub(r.Clock.Now()); left > 0 {
			return left, nil
		}
		next := &v1alpha1.EncryptionKey{ObjectMeta: metav1.ObjectMeta{Name: keyname.Next(objects)}}
		if err := r.Client.Create(ctx, next); client.IgnoreAlreadyExists(err) != nil {
			return 0, fmt.Errorf("making EncryptionKey %q, which is due: %w", next.Name, err)
		}
		return 0, nil
	}
	return 0, nil
}
