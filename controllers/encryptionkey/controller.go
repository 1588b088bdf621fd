// Package encryptionkey gives every EncryptionKey its material and says what
// each key is used for: the newest is active and seals new values, older ones
// open what they sealed. It is one half of a rotation; controllers/usersecret
// seals the values again.
//
// An EncryptionKey that is gone while its material is there is made again, so
// that deleting the object loses nothing. Material goes in one case alone: the
// deletion was approved at admission, time was given for replicas to notice, and
// still no value is sealed with the key.
package encryptionkey

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/census"
	"usersecrets.dev/operator/internal/keyname"
	"usersecrets.dev/operator/internal/keyring"
)

// +kubebuilder:rbac:groups=usersecrets.dev,resources=encryptionkeys,verbs=get;list;watch;create
// +kubebuilder:rbac:groups=usersecrets.dev,resources=encryptionkeys/status,verbs=patch
// +kubebuilder:rbac:groups=usersecrets.dev,resources=usersecrets,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Reconciler reconciles EncryptionKeys.
type Reconciler struct {
	Client client.Client
	// Live reads past the cache: before material goes, nothing must be overlooked.
	Live   client.Reader
	Keys   *keyring.Keyring
	Events events.EventRecorder
	Clock  clock.PassiveClock
	// RotationPeriod is how old the active key may become before the next one is
	// made; 0 means that only people make keys.
	RotationPeriod time.Duration
}

const (
	// removalGrace is how long material stays after its removal was approved: a
	// replica that is slow to learn of a rotation still seals with the key.
	removalGrace = 10 * time.Minute
	// problemRetry is when to look again at material that is broken or out of
	// reach: that somebody restores it raises no event.
	problemRetry = 10 * time.Second
	// lookEvery is when to look again at material that is whole: that somebody
	// edits its Secret raises none either.
	lookEvery = time.Minute
)

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("encryptionkey").
		For(&v1alpha1.EncryptionKey{}, builder.WithPredicates(asked())).
		WatchesRawSource(source.Func(r.enqueueVault)).
		Watches(&v1alpha1.UserSecret{}, countSoon{}, builder.WithPredicates(sealedWithAnother())).
		WithOptions(controller.Options{MaxConcurrentReconciles: 1}).
		Complete(r)
}

// enqueueVault asks, at start, for every key that has material: its object may
// be gone.
func (r *Reconciler) enqueueVault(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	for _, key := range r.Keys.Keys() {
		queue.Add(reconcile.Request{NamespacedName: types.NamespacedName{Name: key.Name}})
	}
	return nil
}

// Reconcile takes one EncryptionKey's next step, then reports on all of them: a
// new key changes what the others are used for.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (ctrl.Result, error) {
	f, err := r.observe(ctx, req.Name)
	if err != nil {
		return ctrl.Result{}, err
	}
	again, failed := r.carryOut(ctx, f, decide(f))
	due, err := r.reportAll(ctx)
	if err := errors.Join(failed, err); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: sooner(sooner(again, due), lookEvery)}, nil
}

// observe collects the facts about one key.
func (r *Reconciler) observe(ctx context.Context, name string) (facts, error) {
	f := facts{name: name, now: r.Clock.Now()}
	if err := r.Keys.Reload(ctx); err != nil {
		return f, err
	}
	object := &v1alpha1.EncryptionKey{}
	err := r.Client.Get(ctx, types.NamespacedName{Name: name}, object)
	if client.IgnoreNotFound(err) != nil {
		return f, fmt.Errorf("reading EncryptionKey %q: %w", name, err)
	}
	if err == nil {
		f.object = object
	}
	for _, key := range r.Keys.Keys() {
		if key.Name == name {
			f.key = &key
		}
	}
	f.problem = r.Keys.Problem(name)
	if active, err := r.Keys.Active(); err == nil {
		f.active = active.Name == name
	}
	return f, nil
}

// carryOut takes a step and says when to look again; zero means at the next event.
func (r *Reconciler) carryOut(ctx context.Context, f facts, p plan) (time.Duration, error) {
	switch p.step {
	case makeMaterial:
		return p.again, r.makeMaterial(ctx)
	case makeObject:
		return p.again, r.makeObject(ctx, f)
	case withdraw:
		return p.again, r.Keys.WithdrawRemoval(ctx, f.name)
	case remove:
		return p.again, r.remove(ctx, f)
	case rewrap:
		return p.again, r.rewrap(ctx, f)
	default:
		return p.again, nil
	}
}

// makeMaterial makes the material of every key that is new, the oldest first: what
// was made last while the operator was away is to be the newest.
func (r *Reconciler) makeMaterial(ctx context.Context) error {
	waiting, err := r.waiting(ctx)
	if err != nil {
		return err
	}
	for i := range waiting {
		object := &waiting[i]
		made, err := r.Keys.EnsureKey(ctx, object.Name)
		if errors.Is(err, keyring.ErrTampered) || errors.Is(err, keyring.ErrMaterialLost) || errors.Is(err, keyring.ErrWrongRootKey) {
			continue // the key's own status says so
		}
		if err != nil {
			return fmt.Errorf("making the material of EncryptionKey %q: %w", object.Name, err)
		}
		if made {
			r.Events.Eventf(object, nil, corev1.EventTypeNormal, "MaterialMade", "Generate", "New values are sealed with this key from now on, and stored ones are sealed again")
		}
	}
	return nil
}

// waiting are the EncryptionKeys that never had material, in the order in which
// they were made. Times are of whole seconds; of the same second, names decide.
func (r *Reconciler) waiting(ctx context.Context) ([]v1alpha1.EncryptionKey, error) {
	var list v1alpha1.EncryptionKeyList
	if err := r.Client.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("listing EncryptionKeys: %w", err)
	}
	waiting := slices.DeleteFunc(list.Items, func(key v1alpha1.EncryptionKey) bool {
		return key.Status.KeyID != "" || !key.DeletionTimestamp.IsZero()
	})
	slices.SortFunc(waiting, func(a, b v1alpha1.EncryptionKey) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), keyname.Compare(a.Name, b.Name))
	})
	return waiting, nil
}

// makeObject makes an EncryptionKey for material that has none: it was deleted
// without approval, or the material comes from a backup.
func (r *Reconciler) makeObject(ctx context.Context, f facts) error {
	object := &v1alpha1.EncryptionKey{ObjectMeta: metav1.ObjectMeta{Name: f.name}}
	if err := r.Client.Create(ctx, object); client.IgnoreAlreadyExists(err) != nil {
		return fmt.Errorf("making EncryptionKey %q again: %w", f.name, err)
	}
	return nil
}

// remove deletes the material of a key whose object is gone, unless a value was
// sealed with it after all.
func (r *Reconciler) remove(ctx context.Context, f facts) error {
	// The cache may be behind; what is decided here cannot be taken back.
	object := &v1alpha1.EncryptionKey{}
	if err := r.Live.Get(ctx, types.NamespacedName{Name: f.name}, object); !apierrors.IsNotFound(err) {
		return err
	}
	users, err := census.Of(ctx, r.Live, f.key.ID)
	if err != nil {
		return err
	}
	if users.Count > 0 {
		return errors.Join(r.Keys.WithdrawRemoval(ctx, f.name), r.makeObject(ctx, f))
	}
	return r.Keys.Remove(ctx, f.name)
}

func (r *Reconciler) rewrap(ctx context.Context, f facts) error {
	written, err := r.Keys.Rewrap(ctx)
	if err != nil {
		return fmt.Errorf("wrapping key material by the first root key: %w", err)
	}
	r.Events.Eventf(f.object, nil, corev1.EventTypeNormal, "Rewrapped", "Rewrap", "%d Secrets with key material were wrapped by the first root key", written)
	// Who waits for the answer then reads which root keys are still needed.
	if _, err := r.reportAll(ctx); err != nil {
		return err
	}
	before := f.object.DeepCopy()
	f.object.Status.RewrapRequest = f.object.Annotations[v1alpha1.RewrapRequestedAtAnnotation]
	return r.patch(ctx, before, f.object)
}
