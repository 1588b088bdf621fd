package cli

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"usersecrets.dev/operator/api/v1alpha1"
)

// newRewrapping is a fixture whose operator answers a request at the third look,
// with material wrapped by these root keys.
func newRewrapping(t *testing.T, roots ...string) *fixture {
	looks, asked := 0, ""
	wrap := func(i int, key *v1alpha1.EncryptionKey) {
		if looks > 2 {
			key.Status.RootKeyID = roots[i%len(roots)]
		}
	}
	return newFixtureWith(t, interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, object client.Object, patch client.Patch, opts ...client.PatchOption) error {
			err := c.Patch(ctx, object, patch, opts...)
			asked = object.GetAnnotations()[v1alpha1.RewrapRequestedAtAnnotation]
			return err
		},
		Get: func(ctx context.Context, c client.WithWatch, name client.ObjectKey, object client.Object, opts ...client.GetOption) error {
			err := c.Get(ctx, name, object, opts...)
			if key, ok := object.(*v1alpha1.EncryptionKey); ok && len(roots) > 0 {
				if looks++; looks > 2 {
					key.Status.RewrapRequest = asked
				}
			}
			return err
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			err := c.List(ctx, list, opts...)
			if keys, ok := list.(*v1alpha1.EncryptionKeyList); ok {
				for i := range keys.Items {
					wrap(i, &keys.Items[i])
				}
			}
			return err
		},
	}, encryptionKey("v1", v1alpha1.EncryptionKeyStatus{Phase: v1alpha1.KeyRetired, RootKeyID: "local-old"}),
		encryptionKey("v2", v1alpha1.EncryptionKeyStatus{Phase: v1alpha1.KeyActive, RootKeyID: "local-old"}))
}

func TestKeysRewrapRoot(t *testing.T) {
	tests := map[string]struct {
		roots []string
		want  outcome
	}{
		"by another": {[]string{"awskms://alias/vault"}, outcome{Out: "2 encryption keys are wrapped by awskms://alias/vault\n" +
			"root key local-old is no longer needed in this cluster; keep it as long as you keep backups that were made with it\n"}},
		"by the same": {[]string{"local-old"}, outcome{Out: "2 encryption keys are wrapped by local-old\n" +
			"nothing is to be done: to replace the root key, give the operator the new one first, then this one, and restart it\n"}},
		"not all": {[]string{"local-new", "local-old"}, outcome{Out: "encryption keys are wrapped by several root keys still, local-new, local-old: see 'kubectl usersecret keys list' for the reason\n"}},
		"never":   {nil, outcome{Code: 1, ErrOut: "error: " + errNotRewrapped.Error() + "\n"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newRewrapping(t, tt.roots...)
			if diff := cmp.Diff(tt.want, f.runQuickly("keys", "rewrap-root")); diff != "" {
				t.Errorf("wrapping anew (-want +got):\n%s", diff)
			}
			key := &v1alpha1.EncryptionKey{}
			if err := f.api.Get(context.Background(), client.ObjectKey{Name: "v2"}, key); err != nil {
				t.Fatal(err)
			}
			if got, want := key.Annotations[v1alpha1.RewrapRequestedAtAnnotation], now.Format(time.RFC3339Nano); got != want {
				t.Errorf("the request on the active key: got %q, want %q", got, want)
			}
		})
	}
}

func TestKeysRewrapRootWithoutAKey(t *testing.T) {
	f := newFixture(t, encryptionKey("v1", v1alpha1.EncryptionKeyStatus{Phase: v1alpha1.KeyPending}))
	wantRefusal(t, f.run("keys", "rewrap-root"), "no encryption key is active: see 'kubectl usersecret keys list' for the reason")
}
