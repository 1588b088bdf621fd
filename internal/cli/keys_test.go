package cli

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

// encryptionKey is one with this status, made an hour ago.
func encryptionKey(name string, status v1alpha1.EncryptionKeyStatus) *v1alpha1.EncryptionKey {
	return &v1alpha1.EncryptionKey{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.Time{Time: now.Add(-time.Hour)}}, Status: status}
}

func readyKey(status metav1.ConditionStatus, reason, message string) []metav1.Condition {
	return []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: status, Reason: reason, Message: message}}
}

func threeKeys() []client.Object {
	loaded := readyKey("True", v1alpha1.ReasonMaterialLoaded, "")
	return []client.Object{
		encryptionKey("v1", v1alpha1.EncryptionKeyStatus{KeyID: "v1-00000001", Phase: v1alpha1.KeyRetiring, SealedSecrets: 3, RootKeyID: "local-0011223344556677", Conditions: loaded}),
		encryptionKey("v2", v1alpha1.EncryptionKeyStatus{KeyID: "v2-00000002", Phase: v1alpha1.KeyActive, SealedSecrets: 9, Progress: "9/12", RootKeyID: "awskms://alias/vault", Conditions: loaded}),
		encryptionKey("v3", v1alpha1.EncryptionKeyStatus{}),
	}
}

func TestKeysList(t *testing.T) {
	tests := map[string]struct {
		objects []client.Object
		args    []string
		want    outcome
	}{
		"three": {threeKeys(), nil, outcome{Out: `
NAME   KEY           PHASE      SECRETS   PROGRESS   REASON           ROOT KEY                 AGE
v1     v1-00000001   Retiring   3         <none>     MaterialLoaded   local-0011223344556677   60m
v2     v2-00000002   Active     9         9/12       MaterialLoaded   awskms://alias/vault     60m
v3     <none>        <none>     0         <none>     <none>           <none>                   60m
`}},
		"without headers": {threeKeys()[:1], []string{"--no-headers"}, outcome{Out: `
v1    v1-00000001   Retiring   3     <none>   MaterialLoaded   local-0011223344556677   60m
`}},
		"none": {nil, nil, outcome{Out: "\n", ErrOut: "No encryption keys found: the operator makes the first one when it starts.\n"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := newFixture(t, tt.objects...).run(append([]string{"keys", "list"}, tt.args...)...)
			got.Out = "\n" + got.Out
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("the list (-want +got):\n%s", diff)
			}
		})
	}
}

// What a name may not have is refused without a call to the cluster, and is not
// repeated.
func TestKeysRefusals(t *testing.T) {
	badName := "NAME is no name of an encryption key: use lower case letters, digits and '-', at most 40 characters, such as v2; or leave it out"
	tests := map[string]struct {
		args []string
		want string
	}{
		"list of one":        {[]string{"list", canary}, "list takes no arguments: see 'kubectl usersecret keys list --help'"},
		"rewrap of one":      {[]string{"rewrap-root", canary}, "rewrap-root takes no arguments: see 'kubectl usersecret keys rewrap-root --help'"},
		"bad name":           {[]string{"rotate", canary + "_"}, badName},
		"long name":          {[]string{"rotate", "v12345678901234567890123456789012345678901"}, badName},
		"two names":          {[]string{"rotate", "v2", "v3"}, "one NAME at the most: leave it out for the next one"},
		"backup to nowhere":  {[]string{"backup"}, "FILE is missing: give the file that the backup is to be written to"},
		"two backups":        {[]string{"backup", "a", "b"}, "one FILE at a time"},
		"restore of nothing": {[]string{"restore"}, "FILE is missing: give the file that 'keys backup' wrote"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			wantRefusal(t, newOfflineFixture(t).run(append([]string{"keys"}, tt.args...)...), tt.want)
		})
	}
}
