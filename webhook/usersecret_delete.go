package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/audit"
	"usersecrets.dev/operator/internal/owner"
)

// remover records who deletes a UserSecret and turns strangers away. The API
// server does not wait for it where the operator is away, so deleting a
// namespace, and uninstalling, never hang.
type remover struct {
	*vault
}

// cleaners delete objects on Kubernetes' own behalf.
var cleaners = []string{
	"system:serviceaccount:kube-system:namespace-controller",
	"system:serviceaccount:kube-system:generic-garbage-collector",
	"system:kube-controller-manager",
	"system:apiserver",
}

// Handle implements admission.Handler.
func (d *remover) Handle(ctx context.Context, req admission.Request) admission.Response {
	var us v1alpha1.UserSecret
	if err := json.Unmarshal(req.OldObject.Raw, &us); err != nil {
		return admission.Errored(http.StatusBadRequest, errors.New("the object is no UserSecret"))
	}
	// Where a whole collection is deleted, only the old object knows its name.
	req.Name = us.Name
	secretOwner, err := d.owners.Of(ctx, req.Namespace)
	if err == nil {
		err = d.mayDelete(ctx, req, secretOwner)
	}
	// A namespace that lost its owner, or is going, keeps nothing back.
	if err != nil && !errors.Is(err, owner.ErrNone) {
		return *d.refuse(req, secretOwner, err)
	}
	d.recordOf(req, &us, d.access(req, secretOwner, audit.Allow, ""))
	return admission.Allowed("")
}

func (d *remover) mayDelete(ctx context.Context, req admission.Request, secretOwner string) error {
	if slices.Contains(cleaners, req.UserInfo.Username) {
		return nil
	}
	standing, err := d.requesters.standingOf(ctx, req.UserInfo, secretOwner, req.Namespace, req.Name)
	if err != nil {
		return err
	}
	if standing == stranger {
		return errStranger
	}
	return nil
}
