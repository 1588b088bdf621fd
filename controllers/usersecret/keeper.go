package usersecret

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/keyring"
)

// ranks are the sequence numbers of the keys in the vault, by id.
type ranks map[string]uint64

func ranksOf(keys []keyring.Key) ranks {
	r := make(ranks, len(keys))
	for _, key := range keys {
		r[string(key.ID)] = key.Sequence
	}
	return r
}

// newer says whether key a came after b. One that is not in the vault any more
// counts as the oldest.
func (r ranks) newer(a, b string) bool { return r[a] > r[b] }

// newestKey is the newest key that the present value was sealed with.
func (s *scope) newestKey() string {
	before := s.userSecret.Status
	if !s.opens() || before.ValueID == s.valueID && s.keys.newer(before.ResealedKeyID, s.keyID) {
		return before.ResealedKeyID
	}
	return s.keyID
}

// observeKeeper finds out, where the value is to be sealed again, whether that is
// the operator's to write. It reads live: the cache keeps no managed fields.
func (r *Reconciler) observeKeeper(ctx context.Context, s *scope) error {
	s.keys = ranksOf(r.Keys.Keys())
	if active, err := r.Keys.Active(); err == nil {
		s.active = string(active.ID)
	}
	if !s.stale() {
		return nil
	}
	live := &v1alpha1.UserSecret{}
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(s.userSecret), live); err != nil {
		if client.IgnoreNotFound(err) == nil {
			return errStale
		}
		return fmt.Errorf("reading the UserSecret: %w", err)
	}
	if live.UID != s.userSecret.UID || live.Generation != s.userSecret.Generation {
		return errStale
	}
	s.keeper = keeper(live)
	if before := s.userSecret.Status; s.keeper == "" && before.ValueID == s.valueID && s.keys.newer(before.ResealedKeyID, s.keyID) {
		s.keeper = fmt.Sprintf("it was sealed with the newer key %s already, and somebody put the older text back", before.ResealedKeyID)
	}
	return nil
}

// pluginManager is the field manager of 'kubectl usersecret', which keeps no manifest.
const pluginManager = "kubectl-usersecret"

// keeper says, in words, who keeps encryptedValue as it is and would put it back:
// who applies it by server-side apply, or by kubectl's client-side apply, which
// compares with its annotation. Empty where nobody does.
func keeper(us *v1alpha1.UserSecret) string {
	for _, entry := range us.ManagedFields {
		if entry.Operation == metav1.ManagedFieldsOperationApply && entry.Manager != pluginManager && ownsSealedValue(entry) {
			return fmt.Sprintf("field manager %q applies it from a manifest", entry.Manager)
		}
	}
	var lastApplied struct {
		Spec struct {
			EncryptedValue *json.RawMessage `json:"encryptedValue"`
		} `json:"spec"`
	}
	text := us.Annotations[corev1.LastAppliedConfigAnnotation]
	if json.Unmarshal([]byte(text), &lastApplied) == nil && lastApplied.Spec.EncryptedValue != nil {
		return "kubectl apply keeps it from a manifest"
	}
	return ""
}

var sealedValuePath = fieldpath.MakePathOrDie("spec", "encryptedValue")

func ownsSealedValue(entry metav1.ManagedFieldsEntry) bool {
	if entry.FieldsV1 == nil || entry.Subresource != "" {
		return false
	}
	fields := &fieldpath.Set{}
	if err := fields.FromJSON(entry.FieldsV1.GetRawReader()); err != nil {
		return true // what cannot be read is not ours to override
	}
	return fields.Has(sealedValuePath)
}
