package webhook

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"usersecrets.dev/operator/api/v1alpha1"
)

func managed(entries ...metav1.ManagedFieldsEntry) func(*v1alpha1.UserSecret) {
	return func(us *v1alpha1.UserSecret) { us.ManagedFields = entries }
}

func manager(name, operation, fields string) metav1.ManagedFieldsEntry {
	return metav1.ManagedFieldsEntry{
		Manager: name, Operation: metav1.ManagedFieldsOperationType(operation), FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(fields),
	}
}

// What a stranger may not change, the owner and delegates may.
func TestGuardedMetadata(t *testing.T) {
	alices := manager("kubectl", "Apply", `{"f:spec":{"f:type":{}}}`)
	changes := map[string]func(*v1alpha1.UserSecret){
		"what was applied last": func(us *v1alpha1.UserSecret) { us.Annotations[corev1.LastAppliedConfigAnnotation] = `{"spec":{}}` },
		"a claim to spec":       managed(alices, manager("stranger", "Apply", `{"f:spec":{"f:type":{}}}`)),
		"a larger claim":        managed(manager("kubectl", "Apply", `{"f:spec":{"f:active":{},"f:type":{}}}`)),
		"another way to claim":  managed(manager("kubectl", "Update", `{"f:spec":{"f:type":{}}}`)),
		"the owner's claim":     managed(),
	}
	for name, change := range changes {
		for user, want := range map[string]string{"alice": "", gitops: "", "bob": strangerMessage} {
			t.Run(name+" by "+user, func(t *testing.T) {
				c := makeCluster(t)
				old := makeSecret("openai").sealed(c.seal("openai", canary)).with(managed(alices))
				req := makeRequest(t, user, old.with(change), old)
				if want != "" {
					c.checkRefused(req, c.validate(req), "alice", want)
					return
				}
				c.checkAllowed(req, c.validate(req))
			})
		}
	}
}

// What is no claim to spec, anybody may change.
func TestUnguardedManagers(t *testing.T) {
	alices := manager("kubectl", "Apply", `{"f:spec":{"f:type":{}}}`)
	empty := manager("b", "Apply", `{"f:spec":{}}`)
	for name, tt := range map[string]struct{ old, change func(*v1alpha1.UserSecret) }{
		"a claim to labels":              {managed(alices), managed(alices, manager("bob", "Apply", `{"f:metadata":{"f:labels":{"f:a":{}}}}`))},
		"the operator's claim to status": {managed(alices), managed(alices, manager("operator", "Apply", `{"f:status":{"f:owner":{}}}`))},
		"entries in another order":       {managed(alices, empty), managed(empty, alices)},
		"entries that are none":          {managed(alices), managed(alices, metav1.ManagedFieldsEntry{Manager: "bob"}, manager("odd", "Apply", `5`))},
	} {
		t.Run(name, func(t *testing.T) {
			c := makeCluster(t)
			old := makeSecret("openai").sealed(c.seal("openai", canary)).with(tt.old)
			req := makeRequest(t, "bob", old.with(tt.change), old)
			c.checkAllowed(req, c.validate(req))
			c.checkRecorded()
		})
	}
}
