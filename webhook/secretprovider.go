package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/catalogue"
	"usersecrets.dev/operator/internal/verify"
)

// curator keeps the catalogue in order: what comes in works, and what UserSecrets
// refer to stays. It says how many there are and names some, to who may change the
// catalogue of the whole cluster.
type curator struct {
	*vault
}

// shownUsers is how many UserSecrets a refusal names.
const shownUsers = 3

// Handle implements admission.Handler.
func (c *curator) Handle(ctx context.Context, req admission.Request) admission.Response {
	var before, after *v1alpha1.SecretProvider
	if req.Operation != admissionv1.Create {
		before = &v1alpha1.SecretProvider{}
		if err := json.Unmarshal(req.OldObject.Raw, before); err != nil {
			return admission.Errored(http.StatusBadRequest, errors.New("the old object is no SecretProvider"))
		}
	}
	if req.Operation != admissionv1.Delete {
		after = &v1alpha1.SecretProvider{}
		if err := json.Unmarshal(req.Object.Raw, after); err != nil {
			return admission.Errored(http.StatusBadRequest, errors.New("the object is no SecretProvider"))
		}
	}
	// A provider from before a rule, or an operator, that is stricter can still be labelled.
	if before != nil && after != nil && equality.Semantic.DeepEqual(before.Spec, after.Spec) {
		return admission.Allowed("")
	}
	if after != nil {
		if errs := verify.ValidateProvider(after); len(errs) > 0 {
			status := apierrors.NewInvalid(v1alpha1.GroupVersion.WithKind("SecretProvider").GroupKind(), after.Name, errs).Status()
			return admission.Response{AdmissionResponse: admissionv1.AdmissionResponse{Result: &status}}
		}
	}
	refusal, err := c.leavesNobodyOut(ctx, before, after)
	switch {
	case err != nil:
		return admission.Errored(http.StatusInternalServerError, err)
	case refusal != "":
		return admission.Denied(refusal)
	default:
		return admission.Allowed("")
	}
}

// leavesNobodyOut says why a provider, or one of its types, must stay: UserSecrets
// refer to it. before is nil for a new provider, after for one that is deleted.
func (c *curator) leavesNobodyOut(ctx context.Context, before, after *v1alpha1.SecretProvider) (string, error) {
	if before == nil {
		return "", nil
	}
	gone := func(v1alpha1.SecretType) bool { return true }
	if after != nil {
		gone = func(t v1alpha1.SecretType) bool { return lists(before, t) && !lists(after, t) }
	}
	users, err := c.usersOf(ctx, before.Name, gone)
	if err != nil || len(users) == 0 {
		return "", err
	}
	what := fmt.Sprintf("SecretProvider %q", before.Name)
	if after != nil {
		what = fmt.Sprintf("a type that is left out of SecretProvider %q", before.Name)
	}
	return fmt.Sprintf("%s is in use by %s: delete those first", what, some(users)), nil
}

func lists(provider *v1alpha1.SecretProvider, t v1alpha1.SecretType) bool {
	_, err := catalogue.Type(provider, t)
	return err == nil
}

// usersOf are namespace and name of the UserSecrets of a provider whose type is
// gone, in order, as the cache knows them.
func (c *curator) usersOf(ctx context.Context, provider string, gone func(v1alpha1.SecretType) bool) ([]string, error) {
	var list v1alpha1.UserSecretList
	if err := c.reader.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing UserSecrets: %w", err)
	}
	var users []string
	for i := range list.Items {
		if us := &list.Items[i]; us.Spec.Provider == provider && gone(us.Spec.Type) {
			users = append(users, us.Namespace+"/"+us.Name)
		}
	}
	slices.Sort(users)
	return users, nil
}

// some is such as `4 UserSecrets (alice/a, alice/b, bob/c, …)`.
func some(users []string) string {
	noun := "UserSecrets"
	if len(users) == 1 {
		noun = "UserSecret"
	}
	names := strings.Join(users[:min(len(users), shownUsers)], ", ")
	if len(users) > shownUsers {
		names += ", …"
	}
	return fmt.Sprintf("%d %s (%s)", len(users), noun, names)
}
