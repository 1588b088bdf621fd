package webhook

import (
	"encoding/json"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"usersecrets.dev/operator/api/v1alpha1"
)

// guardedAnnotations are those that the owner and delegates alone write. What
// was applied last is one: kubectl takes away, at the next apply, the fields that
// stand there and not in the manifest.
var guardedAnnotations = []string{
	v1alpha1.CreatedByAnnotation, v1alpha1.VerifyRequestedAtAnnotation, corev1.LastAppliedConfigAnnotation,
}

// guardedChange says whether an update changes anything that the owner and
// delegates alone decide. Labels, other annotations and writes that change
// nothing may be written by anybody, so that backups, labelling and storage
// migration pass; of the owner's, checkMetadata looks whether they repeat the value.
func (w *write) guardedChange() bool {
	if !equality.Semantic.DeepEqual(w.old.Spec, w.new.Spec) {
		return true
	}
	for _, key := range guardedAnnotations {
		if w.old.Annotations[key] != w.new.Annotations[key] {
			return true
		}
	}
	return w.endChanged() || !maps.Equal(specManagers(w.old), specManagers(w.new))
}

// endChanged says whether anybody but Kubernetes itself changes what decides
// when the UserSecret goes: given an owner that is gone it would be collected,
// which is a deletion, and given a finalizer it would stay when its owner deletes
// it. From one that is going already, finalizers can only be taken.
func (w *write) endChanged() bool {
	if slices.Contains(cleaners, w.req.UserInfo.Username) || !w.new.DeletionTimestamp.IsZero() {
		return false
	}
	return !equality.Semantic.DeepEqual(w.old.OwnerReferences, w.new.OwnerReferences) ||
		!equality.Semantic.DeepEqual(w.old.Finalizers, w.new.Finalizers)
}

// fieldManager is who owns fields, by server-side apply or by another write.
type fieldManager struct {
	name, operation string
}

// specManagers are the field managers of spec, each with the fields that it owns.
// To own one changes no value; but whoever applies another conflicts, and one
// that is left out of the next apply stays.
func specManagers(us *v1alpha1.UserSecret) map[fieldManager]string {
	managers := map[fieldManager]string{}
	for _, entry := range us.ManagedFields {
		var owned struct {
			Spec json.RawMessage `json:"f:spec"`
		}
		if entry.FieldsV1 == nil || json.Unmarshal(entry.FieldsV1.GetRawBytes(), &owned) != nil || owned.Spec == nil {
			continue
		}
		managers[fieldManager{name: entry.Manager, operation: string(entry.Operation)}] = string(owned.Spec)
	}
	return managers
}
