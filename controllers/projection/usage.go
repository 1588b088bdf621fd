package projection

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

// errUserSecretGone means that a UserSecret was deleted before its use could be
// recorded.
var errUserSecretGone = errors.New("the UserSecret was deleted")

// requestTimeout bounds one read or write of a UserSecret or of a projection.
const requestTimeout = 15 * time.Second

// subject is the UserSecret that a use is of.
type subject struct {
	name types.NamespacedName
	uid  types.UID
}

// usageStatus is the usage part of one UserSecret's status, as it stands in the
// API server.
type usageStatus struct {
	client client.Client
	of     subject
}

// read reads live: what is decided from it must be what the API server compares
// with. The error is errUserSecretGone where the UserSecret is not there, or
// another of the same name is.
func (s usageStatus) read() (*v1alpha1.UserSecret, error) {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	us := &v1alpha1.UserSecret{}
	if err := s.client.Get(ctx, s.of.name, us); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, errUserSecretGone
		}
		return nil, fmt.Errorf("reading the uses of %s: %w", s.of.name, err)
	}
	if us.UID != s.of.uid {
		return nil, errUserSecretGone
	}
	return us, nil
}

// swap writes where the UserSecret still has this version, and returns its new
// one; else the error is a conflict. After any other error it may be written all
// the same.
func (s usageStatus) swap(version string, usage v1alpha1.Usage, recent []v1alpha1.Access) (string, error) {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": s.of.uid, "resourceVersion": version},
		"status":   map[string]any{"usage": complete(usage), "recentAccesses": recent},
	})
	if err != nil {
		return "", fmt.Errorf("encoding the uses of %s: %w", s.of.name, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	// Metadata only, so that the ciphertext need not come back with the answer.
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("UserSecret"))
	object.Namespace, object.Name = s.of.name.Namespace, s.of.name.Name
	err = s.client.Status().Patch(ctx, object, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(FieldManager))
	if apierrors.IsNotFound(err) {
		return "", errUserSecretGone
	}
	if err != nil {
		return "", fmt.Errorf("recording uses of %s: %w", s.of.name, err)
	}
	return object.ResourceVersion, nil
}

// complete writes every field out: a merge patch (RFC 7386) would leave what is
// left out as it was, and mix two pods into one lastUsedBy.
func complete(u v1alpha1.Usage) map[string]any {
	orNull := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	return map[string]any{
		"count": u.Count, "lastUsedAt": u.LastUsedAt,
		"lastUsedBy": map[string]any{
			"workflow": orNull(u.LastUsedBy.Workflow), "node": orNull(u.LastUsedBy.Node), "pod": orNull(u.LastUsedBy.Pod),
		},
	}
}
