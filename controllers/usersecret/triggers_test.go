package usersecret

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"usersecrets.dev/operator/api/v1alpha1"
)

// Which UserSecrets are looked at again, for what changed.
func TestTriggers(t *testing.T) {
	w := newWorld(t)
	with := func(provider string, secretType v1alpha1.SecretType) func(*v1alpha1.UserSecret) {
		return func(us *v1alpha1.UserSecret) { us.Spec.Provider, us.Spec.Type = provider, secretType }
	}
	ofBob := func(us *v1alpha1.UserSecret) { us.Namespace = "bob" }
	unknown := makeSecret("unknown", with("slack", v1alpha1.TypeAPIKey))
	unknown.Spec.EncryptedValue = sealedIn(makeVault(t, otherRootKey), unknown, canary)
	openai := makeSecret("openai")
	w.store(openai, makeSecret("second"), makeSecret("token", with("openai", v1alpha1.TypeOAuthToken)), unknown, makeSecret("theirs", ofBob))
	w.reconcile("openai")
	w.reconcile("unknown")
	tests := map[string]struct {
		got  []reconcile.Request
		want []string
	}{
		"a UserSecret, for its siblings":  {w.r.siblings(t.Context(), openai), []string{"alice/second"}},
		"one that nobody is a sibling of": {w.r.siblings(t.Context(), unknown), nil},
		"what is no UserSecret":           {w.r.siblings(t.Context(), makeProvider("openai")), nil},
		"a provider":                      {w.r.ofProvider(t.Context(), makeProvider("openai")), []string{"alice/openai", "alice/second", "alice/token", "bob/theirs"}},
		"a provider that nobody uses":     {w.r.ofProvider(t.Context(), makeProvider("custom")), nil},
		"a namespace":                     {w.r.ofNamespace(t.Context(), makeNamespace("alice")), []string{"alice/openai", "alice/second", "alice/token", "alice/unknown"}},
		"a namespace without UserSecrets": {w.r.ofNamespace(t.Context(), makeNamespace("eve")), nil},
		"a key, for what it may open now": {w.r.unopened(t.Context(), &v1alpha1.EncryptionKey{}), []string{"alice/unknown"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, request := range tt.got {
				got = append(got, request.String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("looked at (-want +got):\n%s", diff)
			}
		})
	}
}

func makeNamespace(name string) client.Object {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

// What is there at start is looked at anyway; what comes or goes later counts.
func TestTriggersAtStartAndLater(t *testing.T) {
	us := makeSecret("openai")
	changed := makeSecret("openai", func(us *v1alpha1.UserSecret) { us.Generation++ })
	for name, passes := range map[string]predicate.Predicate{"afterStart": afterStart(), "rivalryChanged": rivalryChanged()} {
		got := map[string]bool{
			"at start": passes.Create(event.CreateEvent{Object: us, IsInInitialList: true}),
			"made":     passes.Create(event.CreateEvent{Object: us}),
			"changed":  passes.Update(event.UpdateEvent{ObjectOld: us, ObjectNew: changed}),
			"gone":     passes.Delete(event.DeleteEvent{Object: us}),
		}
		if diff := cmp.Diff(map[string]bool{"at start": false, "made": true, "changed": true, "gone": true}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if rivalryChanged().Update(event.UpdateEvent{ObjectOld: us, ObjectNew: us}) {
		t.Error("a write of a status wakes the siblings")
	}
}
