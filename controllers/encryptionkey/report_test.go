package encryptionkey

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/keyring"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func object(name string) *v1alpha1.EncryptionKey {
	return &v1alpha1.EncryptionKey{ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1}}
}

func TestReport(t *testing.T) {
	keys := []keyring.Key{{ID: "v1-00000001", Name: "v1", Sequence: 1}, {ID: "v2-00000002", Name: "v2", Sequence: 2}, {ID: "v3-00000003", Name: "v3", Sequence: 3}}
	counts := map[envelope.KeyID]int64{"v2-00000002": 5, "v3-00000003": 7}
	for name, tc := range map[string]struct {
		wantPhase  v1alpha1.KeyPhase
		wantID     string
		wantSealed int64
		wantReason string
	}{
		"v1": {v1alpha1.KeyRetired, "v1-00000001", 0, v1alpha1.ReasonMaterialLoaded},
		"v2": {v1alpha1.KeyRetiring, "v2-00000002", 5, v1alpha1.ReasonMaterialLoaded},
		"v3": {v1alpha1.KeyActive, "v3-00000003", 7, v1alpha1.ReasonMaterialLoaded},
		"v4": {v1alpha1.KeyPending, "", 0, v1alpha1.ReasonNoMaterial},
	} {
		t.Run(name, func(t *testing.T) {
			got := report(object(name), keys, counts, now)
			if got.Phase != tc.wantPhase || got.KeyID != tc.wantID || got.SealedSecrets != tc.wantSealed || got.Conditions[0].Reason != tc.wantReason {
				t.Errorf("report: %+v", got)
			}
			again := object(name)
			again.Status = got
			if diff := cmp.Diff(got, report(again, keys, counts, now.Add(time.Hour))); diff != "" {
				t.Errorf("the same facts an hour later change the status (-first +second):\n%s", diff)
			}
		})
	}
}

func TestSealedWith(t *testing.T) {
	for text, want := range map[string]envelope.KeyID{
		"us1.v1-3f9a2c1b.AAAA": "v1-3f9a2c1b",
		"us1.v1-3f9a2c1b":      "v1-3f9a2c1b",
		"us2.v1-3f9a2c1b.AAAA": "",
		"us1.V1-3f9a2c1b.AAAA": "",
		"":                     "",
	} {
		us := &v1alpha1.UserSecret{Spec: v1alpha1.UserSecretSpec{EncryptedValue: text}}
		if got := sealedWith(us); got != want {
			t.Errorf("sealedWith(%q) = %q, want %q", text, got, want)
		}
	}
}
