package webhook

import (
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"usersecrets.dev/operator/api/v1alpha1"
)

// A write that changes nothing guarded passes, whoever makes it, and is no
// access: backups, label edits and storage migration.
func TestMetadataChangesPass(t *testing.T) {
	changes := map[string]func(*v1alpha1.UserSecret){
		"nothing":         func(*v1alpha1.UserSecret) {},
		"a label":         func(us *v1alpha1.UserSecret) { us.Labels = map[string]string{"a": "b"} },
		"an annotation":   func(us *v1alpha1.UserSecret) { us.Annotations["note"] = "of alice" },
		"annotations go":  func(us *v1alpha1.UserSecret) { delete(us.Annotations, "old") },
		"managed fields":  func(us *v1alpha1.UserSecret) { us.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "backup"}} },
		"no tags as none": func(us *v1alpha1.UserSecret) { us.Spec.Tags = []string{} },
	}
	for name, change := range changes {
		for _, user := range []string{"alice", "bob", gitops, operator} {
			t.Run(name+" by "+user, func(t *testing.T) {
				c := makeCluster(t)
				old := makeSecret("openai").sealed(c.seal("openai", canary)).annotated("old", "x").expires(-1)
				req := makeRequest(t, user, old.with(change), old)
				c.checkAllowed(req, c.validate(req))
				c.checkRecorded()
				if len(c.reviews) != 0 {
					t.Errorf("asked who may: %v", c.reviews)
				}
			})
		}
	}
}

// The owner alone is kept from writing the value where others read it: to anyone
// else the refusal would say that a guess was right.
func TestMetadataThatRepeatsTheValue(t *testing.T) {
	changes := map[string]struct {
		change func(*v1alpha1.UserSecret)
		want   string
	}{
		"annotation": {change: func(us *v1alpha1.UserSecret) { us.Annotations["note"] = canary }, want: "metadata.annotations.note"},
		"label":      {change: func(us *v1alpha1.UserSecret) { us.Labels = map[string]string{"a": canary} }, want: "metadata.labels.a"},
	}
	for name, tt := range changes {
		t.Run(name, func(t *testing.T) {
			c := makeCluster(t)
			old := makeSecret("openai").sealed(c.seal("openai", canary))
			req := makeRequest(t, "alice", old.with(tt.change), old)
			c.checkRefused(req, c.validate(req), "alice", tt.want+repeats)
			for _, user := range []string{"bob", gitops, operator} {
				c.records = nil
				req := makeRequest(t, user, old.with(tt.change), old)
				c.checkAllowed(req, c.validate(req))
				c.checkRecorded()
			}
		})
	}
}

// Where it cannot be told, a label is no reason to refuse.
func TestMetadataWithoutAnAnswer(t *testing.T) {
	label := func(us *v1alpha1.UserSecret) { us.Labels = map[string]string{"a": "b"} }
	t.Run("what does not open", func(t *testing.T) {
		c := makeCluster(t)
		old := makeSecret("openai").sealed(c.seal("slack", canary))
		req := makeRequest(t, "alice", old.with(label), old)
		c.checkAllowed(req, c.validate(req))
	})
	t.Run("a namespace without owner", func(t *testing.T) {
		c := makeCluster(t)
		old := makeSecret("openai").sealed(c.seal("openai", canary))
		req := makeRequest(t, "alice", old.with(label), old)
		req.Namespace = "unowned"
		c.checkAllowed(req, c.validate(req))
	})
	t.Run("the API server away", func(t *testing.T) {
		c := makeCluster(t)
		old := makeSecret("openai").sealed(c.seal("openai", canary))
		c.fail = func(string, any) error { return errors.New("the API server is down") }
		req := makeRequest(t, "alice", old.with(label), old)
		c.checkAllowed(req, c.validate(req))
	})
}

// A second look at labels and annotations that stay is not taken: what stands
// there was let in before.
func TestMetadataThatStays(t *testing.T) {
	c := makeCluster(t)
	old := makeSecret("openai").sealed(c.seal("openai", canary)).annotated("note", canary)
	req := makeRequest(t, "alice", old.with(func(us *v1alpha1.UserSecret) { us.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "backup"}} }), old)
	c.checkAllowed(req, c.validate(req))
}

// What decides when the object goes is guarded, unless Kubernetes itself does it,
// or it is going already.
func TestEndOfAUserSecretIsGuarded(t *testing.T) {
	finalizer := func(us *v1alpha1.UserSecret) { us.Finalizers = []string{"example.com/hold"} }
	reference := func(us *v1alpha1.UserSecret) {
		us.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "gone", UID: "7"}}
	}
	going := func(us *v1alpha1.UserSecret) { us.DeletionTimestamp = &metav1.Time{Time: noon} }
	const collector = "system:serviceaccount:kube-system:generic-garbage-collector"
	tests := map[string]struct {
		user        string
		old, change func(*v1alpha1.UserSecret)
		want        string // a refusal
	}{
		"a finalizer by a stranger":        {user: "bob", change: finalizer, want: strangerMessage},
		"an owner reference by a stranger": {user: "bob", change: reference, want: strangerMessage},
		"a finalizer by the operator":      {user: operator, change: finalizer, want: operatorMessage},
		"a finalizer by the owner":         {user: "alice", change: finalizer},
		"an owner reference by a delegate": {user: gitops, change: reference},
		"a finalizer by Kubernetes":        {user: collector, change: finalizer},
		"an owner reference by Kubernetes": {user: collector, change: reference},
		"a finalizer taken by a stranger, going": {user: "bob", old: func(us *v1alpha1.UserSecret) { finalizer(us); going(us) }, change: func(us *v1alpha1.UserSecret) {
			us.Finalizers = nil
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := makeCluster(t)
			old := makeSecret("openai").sealed(c.seal("openai", canary))
			if tt.old != nil {
				old = old.with(tt.old)
			}
			req := makeRequest(t, tt.user, old.with(tt.change), old)
			if tt.want != "" {
				c.checkRefused(req, c.validate(req), "alice", tt.want)
				return
			}
			c.checkAllowed(req, c.validate(req))
		})
	}
}
