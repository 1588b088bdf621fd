package webhook

import (
	"context"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"usersecrets.dev/operator/api/v1alpha1"
)

// keyDeletion asks for the deletion of an EncryptionKey.
func keyDeletion(t *testing.T, c *cluster, name string, dryRun bool) admission.Request {
	t.Helper()
	object := &v1alpha1.EncryptionKey{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, key := range c.keys.Keys() {
		if key.Name == name {
			object.Status.KeyID = string(key.ID)
		}
	}
	return admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		UID: "request-1", Name: name, Operation: admissionv1.Delete, DryRun: &dryRun, OldObject: runtime.RawExtension{Raw: encode(t, object)},
	}}
}

func (c *cluster) deleteKey(name string, dryRun bool) admission.Response {
	c.t.Helper()
	return (&retirer{vault: c.vault}).Handle(context.Background(), keyDeletion(c.t, c, name, dryRun))
}

// approved says whether the material of a key may be removed.
func (c *cluster) approved(name string) bool {
	c.t.Helper()
	secret := &corev1.Secret{}
	if err := c.client.Get(context.Background(), types.NamespacedName{Namespace: "usersecrets-system", Name: "encryption-key-" + name}, secret); err != nil {
		c.t.Fatal(err)
	}
	return secret.Annotations["usersecrets.dev/removal-approved-at"] != ""
}

func TestDeleteEncryptionKey(t *testing.T) {
	const inUse = `, which would be lost with it: wait until the rotation is done, and see 'kubectl get usersecrets -A -o wide' for those that belong to a manifest; 'kubectl usersecret reseal -f FILE' seals these again`
	tests := map[string]struct {
		key         string
		sealedNames []string
		dryRun      bool
		want        string // a refusal
		wantWarned  bool
		wantAllowed bool // for removal
	}{
		"active":             {key: "v2", want: `EncryptionKey "v2" is active: new values are sealed with it. Make a newer one first, with 'kubectl usersecret keys rotate'`},
		"in use by one":      {key: "v1", sealedNames: []string{"a"}, want: `EncryptionKey "v1" still seals 1 UserSecret (alice-flows/a)` + inUse},
		"in use by several":  {key: "v1", sealedNames: []string{"a", "b", "c", "d"}, want: `EncryptionKey "v1" still seals 4 UserSecrets (alice-flows/a, alice-flows/b, alice-flows/c, …)` + inUse},
		"retired":            {key: "v1", wantWarned: true, wantAllowed: true},
		"retired, as a test": {key: "v1", dryRun: true, wantWarned: true},
		"in use, as a test":  {key: "v1", dryRun: true, sealedNames: []string{"a"}, want: `EncryptionKey "v1" still seals 1 UserSecret (alice-flows/a)` + inUse},
		"never had material": {key: "v9"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := makeCluster(t)
			for _, us := range tt.sealedNames {
				c.create(makeSecret(us).sealed(c.seal(us, canary)))
			}
			if _, err := c.keys.EnsureKey(t.Context(), "v2"); err != nil {
				t.Fatal(err)
			}
			got := c.deleteKey(tt.key, tt.dryRun)
			message := ""
			if got.Result != nil {
				message = got.Result.Message
			}
			if got.Allowed != (tt.want == "") || message != tt.want {
				t.Errorf("allowed %t, message %q,\nwant %q", got.Allowed, message, tt.want)
			}
			if (len(got.Warnings) > 0) != tt.wantWarned {
				t.Errorf("warnings %q", got.Warnings)
			}
			if approved := c.approved("v1"); approved != tt.wantAllowed {
				t.Errorf("removal approved: %t, want %t", approved, tt.wantAllowed)
			}
		})
	}
}

// A replica that has not heard of a rotation looks before it refuses.
func TestDeleteEncryptionKeyOnALateReplica(t *testing.T) {
	c := makeCluster(t)
	if _, err := makeKeyring(t, c.client).EnsureKey(t.Context(), "v2"); err != nil {
		t.Fatal(err)
	}
	if got := c.deleteKey("v1", false); !got.Allowed {
		t.Errorf("refused: %s", got.Result.Message)
	}
}

// Whatever goes wrong in a rotation, a value stays the same.
func TestTheOperatorResealsTheSameValueAlone(t *testing.T) {
	for name, tt := range map[string]struct{ value, want string }{
		"the same":  {canary, ""},
		"another's": {other, "the operator seals the same value again, and no other"},
	} {
		t.Run(name, func(t *testing.T) {
			c := makeCluster(t)
			old := makeSecret("openai").sealed(c.seal("openai", canary))
			if _, err := c.keys.EnsureKey(t.Context(), "v2"); err != nil {
				t.Fatal(err)
			}
			resealed := makeSecret("openai").sealed(c.seal("openai", tt.value))
			got := (&validator{vault: c.vault}).Handle(t.Context(), makeRequest(t, operator, resealed, old))
			if got.Allowed != (tt.want == "") || (tt.want != "" && got.Result.Message != tt.want) {
				t.Errorf("allowed %t, result %v, want %q", got.Allowed, got.Result, tt.want)
			}
		})
	}
}

func TestAStaleKeyIsAWarning(t *testing.T) {
	c := makeCluster(t)
	old := makeSecret("openai").sealed(c.seal("openai", canary))
	if _, err := c.keys.EnsureKey(t.Context(), "v2"); err != nil {
		t.Fatal(err)
	}
	got := (&validator{vault: c.vault}).Handle(t.Context(), makeRequest(t, "alice", old, nil))
	if !got.Allowed || len(got.Warnings) != 1 {
		t.Fatalf("allowed %t, warnings %q", got.Allowed, got.Warnings)
	}
	const want = "spec.encryptedValue is sealed with key v1-"
	if got.Warnings[0][:len(want)] != want {
		t.Errorf("warning %q", got.Warnings[0])
	}
}
