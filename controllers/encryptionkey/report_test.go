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
	c := counts{byKey: map[envelope.KeyID]int64{"v2-00000002": 5, "v3-00000003": 7}, total: 12}
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
			got := report(object(name), keys, nil, c, now)
			if got.Phase != tc.wantPhase || got.KeyID != tc.wantID || got.SealedSecrets != tc.wantSealed || got.Conditions[0].Reason != tc.wantReason {
				t.Errorf("report: %+v", got)
			}
			again := object(name)
			again.Status = got
			if diff := cmp.Diff(got, report(again, keys, nil, c, now.Add(time.Hour))); diff != "" {
				t.Errorf("the same facts an hour later change the status (-first +second):\n%s", diff)
			}
		})
	}
}
