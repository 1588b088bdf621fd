package verification

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/catalogue"
	"usersecrets.dev/operator/internal/owner"
	"usersecrets.dev/operator/internal/selection"
	"usersecrets.dev/operator/internal/verify"
)

// scope holds the facts of one look at a UserSecret.
type scope struct {
	facts
	userSecret *v1alpha1.UserSecret
	now        time.Time
	owner      string
	// entry is the catalogue's; one without a test where the catalogue has none.
	entry *v1alpha1.ProviderType
	// unknown is why the catalogue has none, in words.
	unknown string
}

// observe fills in every fact. What a test found and status does not show yet
// counts as if it stood there.
func (r *Reconciler) observe(ctx context.Context, us *v1alpha1.UserSecret) (*scope, error) {
	// What is no request asks for nothing; admission refuses it.
	requested, _ := verify.ParseRequest(us.Annotations[v1alpha1.VerifyRequestedAtAnnotation])
	s := &scope{userSecret: us, now: r.Clock.Now(), facts: facts{
		mode:      modeOf(us),
		opens:     meta.IsStatusConditionTrue(us.Status.Conditions, v1alpha1.ConditionSealed),
		valueID:   us.Status.ValueID,
		requested: requested,
		record:    us.Status.Verification,
		verdict:   verdictOf(us),
	}}
	s.usable = selection.Usable(us, s.now) == nil
	r.recall(s)
	var err error
	if s.owner, err = r.Owners.Of(ctx, us.Namespace); errors.Is(err, owner.ErrNone) {
		s.opens = false // status will say so too
	} else if err != nil {
		return nil, err
	}
	return s, r.observeCatalogue(ctx, s)
}

func (r *Reconciler) observeCatalogue(ctx context.Context, s *scope) error {
	spec := s.userSecret.Spec
	provider := &v1alpha1.SecretProvider{}
	err := r.Client.Get(ctx, types.NamespacedName{Name: spec.Provider}, provider)
	switch {
	case apierrors.IsNotFound(err):
		err = catalogue.UnknownProvider(spec.Provider)
	case err != nil:
		return fmt.Errorf("reading provider %q: %w", spec.Provider, err)
	default:
		s.entry, err = catalogue.Type(provider, spec.Type)
	}
	if err != nil {
		s.entry, s.unknown = &v1alpha1.ProviderType{Type: spec.Type}, err.Error()
	}
	s.testID, err = testIDOf(s.entry)
	return err
}

// recall takes what was found into account until status shows it.
func (r *Reconciler) recall(s *scope) {
	name := client.ObjectKeyFromObject(s.userSecret)
	f, ok := r.found.of(name, s.userSecret.UID)
	if !ok {
		return
	}
	if equality.Semantic.DeepEqual(s.record, f.record) {
		r.found.drop(name)
		return
	}
	s.record, s.verdict = f.record, f.verdict
}

func modeOf(us *v1alpha1.UserSecret) v1alpha1.VerificationMode {
	if us.Spec.Verification == nil || us.Spec.Verification.Mode == "" {
		return v1alpha1.VerifyOnChange
	}
	return us.Spec.Verification.Mode
}

func verdictOf(us *v1alpha1.UserSecret) *metav1.Condition {
	return meta.FindStatusCondition(us.Status.Conditions, v1alpha1.ConditionVerified)
}
