package projection

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
)

// A projection is read by the dry run of a deletion, and comes back as it was
// before it would have been deleted.
func TestLookThrough(t *testing.T) {
	now, grace := metav1.Now(), int64(0)
	there := corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: "usersecret-p", UID: "secret-1", ResourceVersion: "7",
			DeletionTimestamp: &now, DeletionGracePeriodSeconds: &grace,
			Finalizers:    []string{"example.com/kept", metav1.FinalizerDeleteDependents},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "somebody"}},
		},
		Data: map[string][]byte{"DB": []byte("one")},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodDelete || r.URL.Query().Get("dryRun") != "All" || r.URL.Query().Get("propagationPolicy") != "Foreground" {
			t.Errorf("%s %s, want the dry run of a deletion in the foreground", r.Method, r.URL)
		}
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path != "/api/v1/namespaces/"+namespace+"/secrets/usersecret-p" {
			w.WriteHeader(http.StatusNotFound)
			_ = json.NewEncoder(w).Encode(apierrors.NewNotFound(corev1.Resource("secrets"), "absent").Status())
			return
		}
		_ = json.NewEncoder(w).Encode(there)
	}))
	defer server.Close()
	api, err := corev1client.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	look := LookThrough(api.RESTClient())

	got, err := look(t.Context(), inNamespace("usersecret-p"))
	if err != nil {
		t.Fatal(err)
	}
	want := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: "usersecret-p", UID: "secret-1", ResourceVersion: "7", Finalizers: []string{"example.com/kept"},
		},
		Data: map[string][]byte{"DB": []byte("one")},
	}
	got.TypeMeta = metav1.TypeMeta{}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Secret (-want +got):\n%s", diff)
	}
	if _, err := look(t.Context(), inNamespace("absent")); !apierrors.IsNotFound(err) {
		t.Errorf("error %v, want that it is not found", err)
	}
}
