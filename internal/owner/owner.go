// Package owner answers whom a namespace belongs to.
//
// The answer always comes from the Namespace object, never from a copy kept
// elsewhere: the same string authorises requests and derives the user's key, so
// that a changed owner fails closed. Admission and every controller ask here.
package owner

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ErrNone is returned for a namespace that names no owner, and for one that
// does not exist.
var ErrNone = errors.New("namespace has no owner")

// Resolver reads owners.
type Resolver struct {
	// Cache answers first. A nil Cache reads live every time.
	Cache client.Reader
	// Live answers where Cache knows no owner, since a namespace may be
	// younger than the cache's last event.
	Live client.Reader
	// Annotation is the key of the owner annotation.
	Annotation string
}

// Of returns the owner of a namespace, or an error that is ErrNone.
func (r *Resolver) Of(ctx context.Context, namespace string) (string, error) {
	if r.Cache != nil {
		if owner, err := r.read(ctx, r.Cache, namespace); err == nil {
			return owner, nil
		}
	}
	return r.read(ctx, r.Live, namespace)
}

func (r *Resolver) read(ctx context.Context, from client.Reader, namespace string) (string, error) {
	ns := Metadata()
	if err := from.Get(ctx, types.NamespacedName{Name: namespace}, ns); err != nil {
		if apierrors.IsNotFound(err) {
			return "", fmt.Errorf("%w: namespace %q does not exist", ErrNone, namespace)
		}
		return "", fmt.Errorf("reading namespace %q: %w", namespace, err)
	}
	owner := ns.Annotations[r.Annotation]
	if owner == "" {
		return "", fmt.Errorf("%w: %q carries no annotation %s; an administrator sets it with 'kubectl usersecret onboard'", ErrNone, namespace, r.Annotation)
	}
	return owner, nil
}

// Metadata is an empty Namespace as the caches hold it: metadata only.
func Metadata() *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
	}
}
