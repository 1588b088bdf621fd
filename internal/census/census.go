// Package census finds out, from the API server itself and not from a cache, what
// is sealed with an encryption key. Whether key material may go is decided by it.
package census

import (
	"context"
	"fmt"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
)

const (
	// page is how many UserSecrets one request asks for; each holds up to 88 KiB.
	page = 200
	// named is how many of them are named to a person.
	named = 3
)

// Sealed is what is sealed with one key.
type Sealed struct {
	Count int
	// Names are namespace and name of the first few, in the API server's order.
	Names []string
}

// String is such as `3 UserSecrets (alice/openai, alice/slack, bob/openai)`.
func (s Sealed) String() string {
	noun := "UserSecrets"
	if s.Count == 1 {
		noun = "UserSecret"
	}
	names := strings.Join(s.Names, ", ")
	if s.Count > len(s.Names) {
		names += ", …"
	}
	return fmt.Sprintf("%d %s (%s)", s.Count, noun, names)
}

// Of lists all UserSecrets consistently, which needs a reader without a cache.
func Of(ctx context.Context, live client.Reader, id envelope.KeyID) (Sealed, error) {
	var sealed Sealed
	next := ""
	for {
		// A list of its own for each page: what a page leaves out would stay what it
		// was on the one before.
		list := &v1alpha1.UserSecretList{}
		if err := live.List(ctx, list, client.Limit(page), client.Continue(next)); err != nil {
			return Sealed{}, fmt.Errorf("looking for UserSecrets sealed with key %s: %w", id, err)
		}
		for i := range list.Items {
			us := &list.Items[i]
			if envelope.KeyIDOf(us.Spec.EncryptedValue) != id {
				continue
			}
			if sealed.Count++; len(sealed.Names) < named {
				sealed.Names = append(sealed.Names, us.Namespace+"/"+us.Name)
			}
		}
		if next = list.Continue; next == "" {
			return sealed, nil
		}
	}
}
