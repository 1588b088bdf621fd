package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/inject"
	"usersecrets.dev/operator/internal/selection"
)

// injector prepares a pod that asks for secrets: it refuses what can never be
// served, and gives the pod a Secret of its own to wait for. It sees only pods
// with the inject annotation, and copies of such; the API server asks it about no
// other.
type injector struct {
	*vault
	limits inject.Limits
}

// Handle implements admission.Handler.
func (i *injector) Handle(ctx context.Context, req admission.Request) admission.Response {
	pod := &corev1.Pod{}
	if err := json.Unmarshal(req.Object.Raw, pod); err != nil {
		return admission.Errored(http.StatusBadRequest, errors.New("the object is no Pod"))
	}
	// The patch is the difference between two encodings of the same Go type, so
	// that fields of a newer API server, which the type lacks, are not removed.
	before, err := json.Marshal(pod)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, fmt.Errorf("encoding the pod: %w", err))
	}
	owner, err := i.owners.Of(ctx, req.Namespace)
	if err != nil {
		return *i.refuse(req, "", err)
	}
	warnings, err := i.inject(ctx, req, owner, pod)
	if err != nil {
		return *i.refuse(req, owner, err)
	}
	after, err := json.Marshal(pod)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, fmt.Errorf("encoding the injected pod: %w", err))
	}
	return admission.PatchResponseFromRaw(before, after).WithWarnings(warnings...)
}

// inject writes the injection into the pod; warnings name the secrets that the
// pod will have to wait for.
func (i *injector) inject(ctx context.Context, req admission.Request, owner string, pod *corev1.Pod) ([]string, error) {
	if err := i.adoptCopy(ctx, req.Namespace, pod); err != nil {
		return nil, err
	}
	request, err := inject.ParseRequest(pod, i.limits)
	if err != nil {
		return nil, err
	}
	choices, err := i.choose(ctx, req.Namespace, request.Items)
	if err != nil {
		return nil, err
	}
	warnings, err := i.checkChoices(choices)
	if err != nil {
		return nil, err
	}
	if err := i.checkValues(ctx, envelope.Binding{Owner: owner, Namespace: req.Namespace}, request, choices); err != nil {
		return nil, err
	}
	if err := inject.CheckEnvCollisions(pod, request, keysOf(choices)); err != nil {
		return nil, err
	}
	stamp := inject.Stamp{Projection: inject.NewProjectionName(), RequestedBy: req.UserInfo.Username}
	return warnings, inject.Mutate(pod, request, stamp)
}

func (i *injector) choose(ctx context.Context, namespace string, items []inject.Item) ([]selection.Choice, error) {
	secrets, err := i.userSecrets(ctx, namespace)
	if err != nil {
		return nil, err
	}
	world := selection.World{
		UserSecrets: secrets,
		Now:         i.now(),
		Provider: func(name string) (*v1alpha1.SecretProvider, error) {
			return i.provider(ctx, name)
		},
	}
	return selection.Choose(world, items), nil
}

// checkChoices refuses what no waiting would mend, and turns what may still
// come into warnings.
func (i *injector) checkChoices(choices []selection.Choice) ([]string, error) {
	var warnings []string
	var keyed []inject.Keyed
	for _, c := range choices {
		switch {
		case c.Err == nil:
		case errors.Is(c.Err, selection.ErrMissing):
			warnings = append(warnings, fmt.Sprintf("%s: %s; the pod waits for it", c.Item.Source(), c.Err))
		default:
			return nil, fmt.Errorf("annotation %s, %s: %w", v1alpha1.InjectAnnotation, c.Item.Source(), c.Err)
		}
		if c.Key != "" {
			keyed = append(keyed, inject.Keyed{Item: c.Item, Key: c.Key})
		}
	}
	return warnings, inject.CheckKeys(keyed)
}

// checkValues refuses values that do not fit into one Secret, and, for
// environment variables, values that cannot be one.
func (i *injector) checkValues(ctx context.Context, place envelope.Binding, request inject.Request, choices []selection.Choice) error {
	var sizes []int
	for _, c := range choices {
		if c.UserSecret == nil {
			continue
		}
		sealed, err := envelope.Parse(c.UserSecret.Spec.EncryptedValue)
		if err != nil {
			return fmt.Errorf("UserSecret %q: %w", c.UserSecret.Name, err)
		}
		sizes = append(sizes, sealed.ValueLength())
		if request.As == inject.AsEnv {
			place.Name = c.UserSecret.Name
			if err := i.checkEnv(ctx, sealed, place); err != nil {
				return fmt.Errorf("UserSecret %q: %w", c.UserSecret.Name, err)
			}
		}
	}
	return inject.CheckTotal(sizes)
}

func (i *injector) checkEnv(ctx context.Context, sealed envelope.Sealed, place envelope.Binding) error {
	value, err := i.keys.Open(ctx, sealed, place)
	if err != nil {
		return err
	}
	defer value.Zero()
	return inject.EnvValue(value)
}

func keysOf(choices []selection.Choice) []string {
	keys := make([]string, 0, len(choices))
	for _, c := range choices {
		if c.Key != "" {
			keys = append(keys, c.Key)
		}
	}
	return keys
}
