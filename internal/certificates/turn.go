package certificates

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"usersecrets.dev/operator/api/v1alpha1"
)

// turn takes at most one step with the CA, then signs, publishes and notes what is in
// place. It returns when to turn again, or settled as false for at once: what was
// written may call for the next step.
//
// The configurations are read before the Secret: then a bundle that a
// configuration had when it was read is never newer than the trust read after
// it, and the patch fails where one was written since. So a bundle never goes back.
func (r *Rotator) turn(ctx context.Context) (next time.Time, settled bool, err error) {
	now := r.clock.Now()
	configurations := bothKinds()
	for i := range configurations {
		if err := configurations[i].read(ctx, r.client, r.options.ConfigurationName); err != nil {
			return time.Time{}, false, err
		}
	}
	t, secret, err := r.readTrust(ctx)
	if err != nil {
		return time.Time{}, false, err
	}
	s := plan(t, t.next != nil && r.missing(configurations, t.next) == nil, now)
	if t, err = r.take(ctx, s, t, secret, now); err != nil {
		return time.Time{}, false, err
	}
	if err := r.renewServing(t, now); err != nil {
		return time.Time{}, false, err
	}
	published, err := r.publish(ctx, configurations, t.bundle())
	misplaced := r.missing(configurations, t.current)
	r.misplaced.Store(&misplaced)
	return earliest(t.nextChange(), renewal(r.serving.Load().Leaf)), s == keep && !published, err
}

// readTrust returns what the Secret says and the Secret, which is nil where there is none.
func (r *Rotator) readTrust(ctx context.Context) (trust, *corev1.Secret, error) {
	secret := &corev1.Secret{}
	key := client.ObjectKey{Namespace: r.options.Namespace, Name: r.options.SecretName}
	err := r.client.Get(ctx, key, secret)
	if apierrors.IsNotFound(err) {
		return trust{}, nil, nil
	}
	if err != nil {
		return trust{}, nil, fmt.Errorf("reading the webhook CA's Secret %s: %w", key, err)
	}
	return decode(secret.Data), secret, nil
}

// take takes a step and writes it. Of replicas that do so at once only one
// succeeds; the others' error is a lostRace, and their CA is forgotten.
func (r *Rotator) take(ctx context.Context, s step, t trust, secret *corev1.Secret, now time.Time) (trust, error) {
	if s == keep {
		return t, nil
	}
	stepped, err := t.after(s, now)
	if err != nil {
		return trust{}, err
	}
	if err := r.write(ctx, stepped, secret); err != nil {
		return trust{}, err
	}
	logger := log.FromContext(ctx).WithValues("step", s, "expires", stepped.current.certificate.NotAfter)
	if t.flaw != nil {
		logger = logger.WithValues("flaw", t.flaw.Error())
	}
	logger.Info("Changed the webhook CA")
	return stepped, nil
}

// write creates the Secret where it was absent, else updates it, if it is still as it was read.
func (r *Rotator) write(ctx context.Context, t trust, secret *corev1.Secret) error {
	data, err := t.encode()
	if err != nil {
		return err
	}
	if secret == nil {
		if err := r.client.Create(ctx, r.newSecret(data), fieldOwner); err != nil {
			return fmt.Errorf("creating the webhook CA's Secret: %w", err)
		}
		return nil
	}
	for _, key := range []string{nextCertificateKey, nextPrivateKeyKey, nextPublishedKey} {
		delete(secret.Data, key)
	}
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	maps.Copy(secret.Data, data)
	// The resource version that was read goes along, and the API server checks it.
	if err := r.client.Update(ctx, secret, fieldOwner); err != nil {
		return fmt.Errorf("updating the webhook CA's Secret: %w", err)
	}
	return nil
}

func (r *Rotator) newSecret(data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: r.options.Namespace,
			Name:      r.options.SecretName,
			Labels:    map[string]string{"app.kubernetes.io/managed-by": v1alpha1.OperatorName},
		},
		Type: corev1.SecretTypeOpaque,
		Data: data,
	}
}

func (r *Rotator) renewServing(t trust, now time.Time) error {
	if !outdated(r.serving.Load(), t.current, now) {
		return nil
	}
	serving, err := t.current.serve(r.names, now)
	if err != nil {
		return err
	}
	r.serving.Store(serving)
	return nil
}

// publish writes the bundle into both configurations, the second also where the first fails.
func (r *Rotator) publish(ctx context.Context, configurations []configuration, bundle []byte) (published bool, err error) {
	var failed []error
	for i := range configurations {
		written, err := configurations[i].publish(ctx, r.client, bundle)
		if written {
			published = true
			log.FromContext(ctx).Info("Published the webhook CA bundle", "kind", configurations[i].kind)
		}
		failed = append(failed, err)
	}
	return published, errors.Join(failed...)
}

// missing says what keeps API servers from trusting what the authority signed; nil where nothing does.
func (r *Rotator) missing(configurations []configuration, a *authority) error {
	var missing []error
	for i := range configurations {
		missing = append(missing, configurations[i].carries(a.certificate, r.options.ConfigurationName))
	}
	if err := errors.Join(missing...); err != nil {
		return fmt.Errorf("%w: %w", ErrNotInPlace, err)
	}
	return nil
}

// lostRace says that another writer came first. The remedy is to read again.
func lostRace(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err)
}
