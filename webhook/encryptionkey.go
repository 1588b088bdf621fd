package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/census"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/keyring"
)

// retirer guards the deletion of EncryptionKeys: a key that something is sealed
// with stays. What it lets go it approves, since without that the operator makes
// an EncryptionKey again whose material is there.
//
// It is ignored while the operator is away: then nothing is approved, so nothing
// is lost, and uninstalling never waits for it.
type retirer struct {
	*vault
}

// Handle implements admission.Handler.
func (r *retirer) Handle(ctx context.Context, req admission.Request) admission.Response {
	object := &v1alpha1.EncryptionKey{}
	if err := json.Unmarshal(req.OldObject.Raw, object); err != nil {
		return admission.Errored(http.StatusBadRequest, errors.New("the object is no EncryptionKey"))
	}
	// Another replica may know of a newer key.
	if err := r.keys.Reload(ctx); err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	id := r.idOf(object)
	if id == "" {
		return admission.Allowed("")
	}
	if err := r.mayGo(ctx, object.Name, id); err != nil {
		return admission.Denied(err.Error())
	}
	if req.DryRun == nil || !*req.DryRun {
		if err := r.keys.ApproveRemoval(ctx, object.Name); err != nil {
			return admission.Errored(http.StatusInternalServerError, err)
		}
	}
	return admission.Allowed("").WithWarnings(fmt.Sprintf("manifests, in git or in backups, that were sealed with key %s will no longer open; its material is removed in some minutes", id))
}

// idOf is the id of the key's material, or of the material that it once had;
// empty for a key that never had any.
func (r *retirer) idOf(object *v1alpha1.EncryptionKey) envelope.KeyID {
	for _, key := range r.keys.Keys() {
		if key.Name == object.Name {
			return key.ID
		}
	}
	return envelope.KeyID(object.Status.KeyID)
}

func (r *retirer) mayGo(ctx context.Context, name string, id envelope.KeyID) error {
	active, err := r.keys.Active()
	if err != nil && !errors.Is(err, keyring.ErrNewestKey) {
		return err
	}
	if err == nil && active.Name == name {
		return fmt.Errorf("EncryptionKey %q is active: new values are sealed with it. Make a newer one first, with 'kubectl usersecret keys rotate'", name)
	}
	sealed, err := census.Of(ctx, r.live, id)
	if err != nil {
		return err
	}
	if sealed.Count > 0 {
		return fmt.Errorf("EncryptionKey %q still seals %s, which would be lost with it: wait until the rotation is done, and see 'kubectl get usersecrets -A -o wide' for those that belong to a manifest; 'kubectl usersecret reseal -f FILE' seals these again", name, sealed)
	}
	return nil
}
