package verification

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/audit"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/keyring"
	"usersecrets.dev/operator/internal/secretvalue"
	"usersecrets.dev/operator/internal/verify"
)

// timeout bounds one test, whatever the tester does.
const timeout = 10 * time.Second

// errBehind means that status speaks of another value than the one stored.
var errBehind = errors.New("status is behind the stored value")

// test is a test's turn: it decides again, on what holds by now, and says whether
// the UserSecret is to be looked at.
func (r *Reconciler) test(ctx context.Context, name types.NamespacedName) bool {
	us := &v1alpha1.UserSecret{}
	err := r.Client.Get(ctx, name, us)
	if err == nil {
		err = r.testDue(ctx, us)
	}
	switch {
	case err == nil:
		return true
	case ctx.Err() != nil, client.IgnoreNotFound(err) == nil:
		return false
	case errors.Is(err, errBehind), errors.Is(err, keyring.ErrUnknownKey), errors.Is(err, envelope.ErrNotOpened):
		return false // status is yet to say so, and when it does, that is an event
	}
	return r.keep(ctx, name, finding{err: err}) == nil
}

// testDue tests the value, where that is still due, and keeps what was found.
func (r *Reconciler) testDue(ctx context.Context, us *v1alpha1.UserSecret) error {
	s, err := r.observe(ctx, us)
	if err != nil {
		return err
	}
	at, why := s.due()
	if why == "" || at.After(s.now) || s.testID == "" {
		return nil
	}
	place := envelope.Binding{Owner: s.owner, Namespace: us.Namespace, Name: us.Name}
	value, err := r.Keys.OpenText(ctx, us.Spec.EncryptedValue, place)
	if err != nil {
		return fmt.Errorf("opening the value to test it: %w", err)
	}
	defer value.Zero()
	id, err := r.Keys.ValueID(place, value)
	if err != nil {
		return fmt.Errorf("identifying the value: %w", err)
	}
	if id != s.valueID {
		return errBehind
	}
	r.Audit.Write(r.record(s, why))
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	result := r.Tester.Test(bounded, s.entry, value)
	if ctx.Err() != nil {
		return ctx.Err() // the operator ends, and the provider was not heard
	}
	after := r.Clock.Now()
	count(result.Reason, after.Sub(s.now))
	return r.keep(ctx, client.ObjectKeyFromObject(us), s.answered(result, why, after))
}

// settle has a value that the catalogue has no test for be not testable, with
// nothing opened and nobody asked.
func (r *Reconciler) settle(ctx context.Context, s *scope) {
	at, why := s.due()
	if why == "" || at.After(s.now) || s.testID != "" {
		return
	}
	result := verify.Result{Reason: v1alpha1.ReasonNotTestable, Message: s.unknown}
	if s.unknown == "" {
		result = r.Tester.Test(ctx, s.entry, secretvalue.Value{})
	}
	f := s.answered(result, why, s.now)
	s.record, s.verdict = f.record, f.verdict
}

// keep keeps what was found until status shows it, but not of what is gone.
func (r *Reconciler) keep(ctx context.Context, name types.NamespacedName, f finding) error {
	r.found.keep(name, f)
	// In this order, its end is seen here or in forget.
	err := r.Client.Get(ctx, name, &v1alpha1.UserSecret{})
	if apierrors.IsNotFound(err) {
		r.found.drop(name)
	}
	return err
}

// record is what the access log says before the value goes to its provider.
func (r *Reconciler) record(s *scope, why string) audit.Record {
	us := s.userSecret
	return audit.Record{
		ID:   string(us.UID) + "/" + string(audit.Verify) + "/" + strconv.FormatInt(s.now.UnixNano(), 10),
		Time: s.now, Type: audit.Verify, Decision: audit.Allowed, Reason: why,
		Owner: s.owner, Namespace: us.Namespace, Name: us.Name, UID: string(us.UID),
		KeyID: string(envelope.KeyIDOf(us.Spec.EncryptedValue)), Actor: r.Account,
	}
}

// answered is what to keep of a result.
func (s *scope) answered(result verify.Result, why string, now time.Time) finding {
	status := metav1.ConditionUnknown
	switch result.Reason {
	case v1alpha1.ReasonAccepted:
		status = metav1.ConditionTrue
	case v1alpha1.ReasonRejected:
		status = metav1.ConditionFalse
	}
	return finding{
		uid:    s.userSecret.UID,
		record: s.after(result.Reason, why, now, result.RetryAfter),
		verdict: &metav1.Condition{
			Type: v1alpha1.ConditionVerified, Status: status, Reason: result.Reason, Message: result.Message,
			LastTransitionTime: metav1.Time{Time: now.Truncate(time.Second)},
		},
	}
}
