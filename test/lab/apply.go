package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// fieldManager owns what a lab applies.
const fieldManager = client.FieldOwner("lab")

// Apply applies manifests server-side, as [ReadManifests] reads them: CRDs first, then namespaces, then the
// rest in the order given. It returns when the new kinds are served and, where admission
// policies or webhooks were among the objects, when the API server enforces them.
func (l *Lab) Apply(ctx context.Context, paths []string, edits ...Edit) error {
	objects, err := ReadManifests(paths, edits...)
	if err != nil {
		return err
	}
	return l.ApplyObjects(ctx, objects...)
}

// ApplyObjects is Apply for objects that are in memory already; they are left as they are.
func (l *Lab) ApplyObjects(ctx context.Context, objects ...*unstructured.Unstructured) error {
	api, err := client.New(l.Admin(), client.Options{})
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	objects = slices.Clone(objects)
	slices.SortStableFunc(objects, func(a, b *unstructured.Unstructured) int { return rank(a) - rank(b) })
	var definitions []*unstructured.Unstructured
	admission := false
	for i, object := range objects {
		if err := applyWhenKnown(ctx, api, object); err != nil {
			return err
		}
		admission = admission || object.GroupVersionKind().Group == "admissionregistration.k8s.io"
		if rank(object) == 0 {
			definitions = append(definitions, object)
		}
		if last := i+1 == len(objects) || rank(objects[i+1]) > 0; rank(object) == 0 && last {
			if err := awaitServed(ctx, api, definitions); err != nil {
				return err
			}
		}
	}
	if admission {
		return l.AwaitAdmission(ctx)
	}
	return nil
}

// rank puts first what the others need.
func rank(object *unstructured.Unstructured) int {
	switch object.GetKind() {
	case "CustomResourceDefinition":
		return 0
	case "Namespace":
		return 1
	default:
		return 2
	}
}

// applyWhenKnown tries again while the API server does not know the kind yet: a definition is
// established a moment before every part of the server serves it.
func applyWhenKnown(ctx context.Context, api client.Client, object *unstructured.Unstructured) error {
	err := Await(ctx, "the API server to know the kind", func(ctx context.Context) (bool, error) {
		err := applyOnce(ctx, api, object)
		if meta.IsNoMatchError(err) || unknownKind(err) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return fmt.Errorf("applying %s: %w", describe(object), err)
	}
	return nil
}

func applyOnce(ctx context.Context, api client.Client, object *unstructured.Unstructured) error {
	namespaced, err := api.IsObjectNamespaced(object)
	if err != nil {
		return err
	}
	if namespaced && object.GetNamespace() == "" {
		return errNoNamespace
	}
	// A copy: the answer is written into what is sent.
	content := client.ApplyConfigurationFromUnstructured(object.DeepCopy())
	return api.Apply(ctx, content, fieldManager, client.ForceOwnership)
}

// errNoNamespace: kubectl would take the context's namespace, and a lab has no context.
var errNoNamespace = errors.New("it has no metadata.namespace: give it one in the manifest or by an Edit")

// unknownKind tells an unserved path from an absent object (such as the namespace), which waiting does not bring: only
// the former's status names no kind.
func unknownKind(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return details == nil || details.Kind == "" || details.Name == ""
}

func awaitServed(ctx context.Context, api client.Client, definitions []*unstructured.Unstructured) error {
	for _, definition := range definitions {
		err := Await(ctx, describe(definition)+" to be served", func(ctx context.Context) (bool, error) {
			stored := &unstructured.Unstructured{}
			stored.SetGroupVersionKind(definition.GroupVersionKind())
			if err := api.Get(ctx, client.ObjectKeyFromObject(definition), stored); err != nil {
				return false, err
			}
			return established(stored) && mapped(api, stored), nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func established(definition *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(definition.Object, "status", "conditions")
	return slices.ContainsFunc(conditions, func(entry any) bool {
		condition, _ := entry.(map[string]any)
		return condition["type"] == "Established" && condition["status"] == "True"
	})
}

// mapped says whether discovery lists the kind: clients find it only then.
func mapped(api client.Client, definition *unstructured.Unstructured) bool {
	group, _, _ := unstructured.NestedString(definition.Object, "spec", "group")
	kind, _, _ := unstructured.NestedString(definition.Object, "spec", "names", "kind")
	_, err := api.RESTMapper().RESTMapping(schema.GroupKind{Group: group, Kind: kind})
	return err == nil
}
