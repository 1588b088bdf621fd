package cli

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/internal/owner"
)

// errConflict says that another tool decides what we would write.
var errConflict = errors.New("somebody else manages it: change it there, or delete it and try again")

// apply writes the namespace, then the binding in it. The results are those that
// were reached, also with an error.
func (o *OnboardOptions) apply(ctx context.Context, plan *onboarding) ([]result, error) {
	connection, err := o.cluster.connect()
	if err != nil {
		return nil, err
	}
	namespace, made, err := o.applyNamespace(ctx, connection, plan.namespace)
	if err != nil {
		return nil, err
	}
	results := []result{namespace}
	if made && o.dryRun.server() {
		_, err := fmt.Fprintf(o.env.ErrOut, "notice: the RoleBinding is not checked, for its namespace %s does not exist yet\n", o.namespace)
		return results, err
	}
	if err := o.serverSideApply(ctx, connection, plan.binding); err != nil {
		return results, err
	}
	return append(results, result{plan.binding, o.dryRun.operation("serverside-applied")}), nil
}

// applyNamespace creates the namespace, or gives an owner to the one that is
// there. Creating is tried first and not applying: those who may make namespaces
// need no right to patch all that exist. made says that there was none.
func (o *OnboardOptions) applyNamespace(ctx context.Context, to client.Client, manifest *unstructured.Unstructured) (done result, made bool, err error) {
	current := owner.Metadata()
	err = to.Get(ctx, types.NamespacedName{Name: o.namespace}, current)
	if apierrors.IsNotFound(err) {
		return result{manifest, o.dryRun.operation("created")}, true, o.create(ctx, to, manifest)
	}
	if err != nil {
		return result{}, false, fmt.Errorf("reading namespace %q: %w", o.namespace, err)
	}
	if !current.DeletionTimestamp.IsZero() {
		return result{}, false, fmt.Errorf("namespace %q %w", o.namespace, errGoing)
	}
	switch current.Annotations[o.annotation] {
	case o.user:
		return result{manifest, o.dryRun.operation("unchanged")}, false, nil
	case "":
		if o.cluster.givenNamespace() == "" {
			return result{}, false, fmt.Errorf("namespace %q %w", o.namespace, errUnclaimed)
		}
		return result{manifest, o.dryRun.operation("serverside-applied")}, false, o.serverSideApply(ctx, to, manifest)
	}
	return result{}, false, fmt.Errorf("namespace %q %w", o.namespace, errAnotherOwner)
}

func (o *OnboardOptions) create(ctx context.Context, to client.Writer, manifest *unstructured.Unstructured) error {
	if o.dryRun.client() {
		return nil
	}
	options := []client.CreateOption{client.FieldOwner(FieldManager)}
	if o.dryRun.server() {
		options = append(options, client.DryRunAll)
	}
	if err := to.Create(ctx, manifest.DeepCopy(), options...); err != nil {
		return fmt.Errorf("creating namespace %q: %w", o.namespace, err)
	}
	return nil
}

// serverSideApply forces nothing: an owner or a subject that somebody else set
// is a conflict, also where it was set a moment ago.
func (o *OnboardOptions) serverSideApply(ctx context.Context, to client.Writer, manifest *unstructured.Unstructured) error {
	if o.dryRun.client() {
		return nil
	}
	options := []client.ApplyOption{client.FieldOwner(FieldManager)}
	if o.dryRun.server() {
		options = append(options, client.DryRunAll)
	}
	err := to.Apply(ctx, client.ApplyConfigurationFromUnstructured(manifest.DeepCopy()), options...)
	if apierrors.IsConflict(err) {
		return fmt.Errorf("applying %s %q: %w (%w)", manifest.GetKind(), manifest.GetName(), errConflict, err)
	}
	if err != nil {
		return fmt.Errorf("applying %s %q: %w", manifest.GetKind(), manifest.GetName(), err)
	}
	return nil
}
