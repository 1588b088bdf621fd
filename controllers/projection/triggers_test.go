package projection

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"usersecrets.dev/operator/internal/owner"
)

func podNames(requests []reconcile.Request) []string {
	var names []string
	for _, request := range requests {
		names = append(names, request.Name)
	}
	return names
}

// Which pods are looked at again when something changes that they may draw on.
func TestPodsThatMayBeConcerned(t *testing.T) {
	c := newCluster()
	for _, pod := range []*corev1.Pod{
		makePod("a-name", "name:db=DB"), makePod("b-provider", "openai"), makePod("c-type", "openai/api_key=KEY"),
		makePod("d-other", "slack"), makePod("e-unreadable", "name:,"), makePod("f-done", "name:db=DB,openai"),
	} {
		c.addPod(pod)
	}
	ends("f-done", corev1.PodSucceeded)(c)
	l := c.lead()
	us := makeValue("db", "one")
	us.Spec.Provider = "openai"
	namespaceMetadata := owner.Metadata()
	namespaceMetadata.Name = namespace

	for name, tc := range map[string]struct{ got, want []string }{
		"a UserSecret":        {podNames(l.podsOfUserSecret(t.Context(), us)), []string{"a-name", "b-provider", "c-type", "e-unreadable"}},
		"another one":         {podNames(l.podsOfUserSecret(t.Context(), makeValue("x", "one"))), []string{"e-unreadable"}},
		"no UserSecret":       {podNames(l.podsOfUserSecret(t.Context(), makePod("p", ""))), nil},
		"a provider":          {podNames(l.podsOfProvider(t.Context(), makeProvider("slack", "TOKEN"))), []string{"a-name", "d-other", "e-unreadable"}},
		"a namespace's owner": {podNames(l.podsOfNamespace(t.Context(), namespaceMetadata)), []string{"a-name", "b-provider", "c-type", "d-other", "e-unreadable"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, tc.got); diff != "" {
				t.Errorf("pods (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSpecChanged(t *testing.T) {
	old := makeValue("db", "one")
	old.Generation = 1
	for name, tc := range map[string]struct {
		change func(*metav1.ObjectMeta)
		want   bool
	}{
		"nothing":             {func(*metav1.ObjectMeta) {}, false},
		"a label":             {func(m *metav1.ObjectMeta) { m.Labels = map[string]string{"a": "b"} }, false},
		"the spec":            {func(m *metav1.ObjectMeta) { m.Generation = 2 }, true},
		"another of its name": {func(m *metav1.ObjectMeta) { m.UID = "uid-db-again" }, true},
	} {
		t.Run(name, func(t *testing.T) {
			changed := old.DeepCopy()
			tc.change(&changed.ObjectMeta)
			if got := specChanged().Update(event.UpdateEvent{ObjectOld: old, ObjectNew: changed}); got != tc.want {
				t.Errorf("passed: %t, want %t", got, tc.want)
			}
		})
	}
	if !specChanged().Create(event.CreateEvent{Object: old}) || !specChanged().Delete(event.DeleteEvent{Object: old}) {
		t.Error("a creation or a deletion was not passed")
	}
}

// At start every pod is looked at anyway.
func TestAfterStart(t *testing.T) {
	for initial, want := range map[bool]bool{true: false, false: true} {
		if got := afterStart().Create(event.CreateEvent{Object: makePod("p", ""), IsInInitialList: initial}); got != want {
			t.Errorf("passed with initial %t: %t, want %t", initial, got, want)
		}
	}
}
